#!/bin/sh
# SPDX-License-Identifier: MIT
# A library exports exactly the functions that its public headers declare. Usage: symbols.sh LIBRARY HEADER_DIR
set -u
exported=$(nm -D --defined-only "$1" | awk '$2 ~ /[TRDB]/ { print $3 }' | sort -u)
declared=$(cat "$2"/*.h | awk '
	/^\/\*/ && !/\*\// { comment = 1 }
	!comment && !/^static/ && !/^typedef/ && !/^#/ && match($0, /weir_[a-z0-9_]+\(/) && /^[a-z]/ { print substr($0, RSTART, RLENGTH - 1) }
	/\*\// { comment = 0 }' | sort -u)
echo 1..1
if [ "$exported" = "$declared" ]; then
	echo "ok 1 - $(basename "$1") exports what its headers declare"
else
	echo "not ok 1 - $(basename "$1") exports what its headers declare"
	printf '# exported only: %s\n' "$(printf '%s\n' "$exported" | grep -vxF "$declared" | tr '\n' ' ')"
	printf '# declared only: %s\n' "$(printf '%s\n' "$declared" | grep -vxF "$exported" | tr '\n' ' ')"
	exit 1
fi
