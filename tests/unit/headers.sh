#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles alone, as C11 and (where there is a C++ compiler) as C++, and is under 250 lines.
# Usage: headers.sh SOURCE_ROOT
set -u
root=$1 n=0 bad=0
flags="-Wall -Wextra -Werror -I$root/shm/include -I$root/core/include -fsyntax-only"
report() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi
}
for header in "$root"/*/include/weir/*.h; do
	name=weir/$(basename "$header")
	echo "#include <$name>" | cc -std=c11 $flags -xc - >&2
	report $? "$name compiles alone as C11"
	if command -v c++ >/dev/null; then
		echo "#include <$name>" | c++ -std=c++11 $flags -xc++ - >&2
		report $? "$name compiles alone as C++"
	fi
	[ "$(wc -l <"$header")" -lt 250 ]
	report $? "$name is under 250 lines"
done
echo "1..$n"
exit $bad
