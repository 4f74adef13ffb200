/* SPDX-License-Identifier: Apache-2.0 */
/* Of the coverage build alone (-Db_coverage=true): what ends by _exit has been counted, too. */
void __gcov_dump(void);
_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);

_Noreturn void __wrap__exit(int code)
{
        __gcov_dump();
        __real__exit(code);
}
