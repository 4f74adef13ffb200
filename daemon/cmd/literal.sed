# SPDX-License-Identifier: Apache-2.0
# A text file as a C string literal, line by line.
s/[\\"]/\\&/g
s/^/"/
s/$/\\n"/
