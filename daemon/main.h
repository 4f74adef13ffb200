/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Verb table and exit codes; entry.c is main() alone, so that tests can link everything else. */
int sw_main(int argc, char **argv);
