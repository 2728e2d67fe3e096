#!/bin/sh
# SPDX-License-Identifier: MIT
# The elements as their users meet them: gst-inspect-1.0, gst-device-monitor-1.0, and every launch line of the elements'
# documentation and of the README, verbatim. Prints TAP.
set -u
source=$WEIR_SOURCE
folder=$(mktemp -d)
GST_PLUGIN_PATH=$WEIR_BUILD/plugins/gst/plugin
GST_REGISTRY=$folder/registry
export GST_PLUGIN_PATH GST_REGISTRY
unset GST_REGISTRY_FORK # scanning in this process would load what others broke
sinks=
trap 'kill $sinks 2>/dev/null; rm -rf "$folder" /tmp/cam0.raw' EXIT
number=0

# result STATUS NAME : prints a TAP line; on failure also the log
result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		sed 's/^/# /' "$folder/log"
	fi
}

# has TEXT... : the log has every one of them
has() {
	for text in "$@"; do
		grep -qF -- "$text" "$folder/log" || { echo "no '$text'" >>"$folder/log"; return 1; }
	done
}

# Every launch line. Here is no screen: what would be shown is counted.
lines() {
	sed -n 's/^ \* \(gst-launch-1\.0 .*\)$/\1/p' "$source/plugins/gst/weirsink.c" "$source/plugins/gst/weirsrc.c"
	sed -n 's/^    \(gst-launch-1\.0 .*\)$/\1/p' "$source/README.md" |
		sed 's/autovideosink/fakesink num-buffers=30/'
}

for element in weirsink weirsrc; do
	gst-inspect-1.0 "$element" >"$folder/log" 2>&1 &&
		has "Long-name" "Plugin Details" "Filename" "socket-path" "stats" "Availability: Always" "max-"
	result $? "gst-inspect-1.0_shows_$element"
done
gst-inspect-1.0 weirsrc >"$folder/log" 2>&1
has "URI handling capabilities" "weir" "leaky-type" "(2): downstream" "timestamp-mode" "do-timestamp" "reconnect"
result $? "gst-inspect-1.0_shows_what_weirsrc_can_be_told"
gst-inspect-1.0 weirsink >"$folder/log" 2>&1
has "reader-connected" "wait-for-connection" "perms" "num-clients" "shm-size"
result $? "gst-inspect-1.0_shows_what_weirsink_can_be_told"

# Launch lines that publish run until the end; then they have to stop well.
lines | grep -E 'weirsink|srtsink' | sort -u >"$folder/sinks"
while read -r line; do
	sh -c "exec $line" >"$folder/sink.$number.$(echo "$sinks" | wc -w)" 2>&1 &
	sinks="$sinks $!"
done <"$folder/sinks"
tries=0
while [ ! -S /tmp/cam0 ] && [ $tries -lt 100 ]; do
	tries=$((tries + 1))
	sleep 0.1
done

# A path may be relative: who lists it stands elsewhere.
cd "$folder" || exit 1
gst-launch-1.0 videotestsrc ! weirsink socket-path=cam1 >"$folder/sink.relative" 2>&1 &
sinks="$sinks $!"
cd / || exit 1
tries=0
until gst-device-monitor-1.0 >"$folder/log" 2>&1 && has "Weir ring /tmp/cam0" "Weir ring @microphone" "Weir ring $folder/cam1" || [ $tries -ge 20 ]; do
	tries=$((tries + 1))
	sleep 0.2
done
has "Weir ring /tmp/cam0" "video/x-raw" "Video/Source" "Weir ring @microphone" "audio/x-opus" "Audio/Source" \
	"gst-launch-1.0 weirsrc socket-path=/tmp/cam0" "gst-launch-1.0 weirsrc socket-path=$folder/cam1"
result $? "gst-device-monitor-1.0_lists_live_rings"

# The others all at once, each to its end; and what plays a URI.
lines | grep -vE 'weirsink|srtsink' | sort -u >"$folder/sources"
cat >>"$folder/sources" <<END
gst-launch-1.0 playbin uri=weir:///@microphone?num-buffers=50 audio-sink=fakesink
gst-launch-1.0 playbin uri=weir:///tmp/cam0?num-buffers=30 video-sink=fakesink
END
started=
while read -r line; do
	timeout 60 sh -c "exec $line" >"$folder/source.$(echo "$started" | wc -w)" 2>&1 </dev/null &
	started="$started $!"
done <"$folder/sources"
index=0
for pid in $started; do
	wait "$pid"
	status=$?
	mv "$folder/source.$index" "$folder/log"
	index=$((index + 1))
	result $status "$(sed -n "${index}p" "$folder/sources" | tr ' #' '__')"
done

# The README's second C block is a program that reads frames; its commands are run as they stand there.
cd "$folder" || exit 1
awk '/^```/ { inside = $0 == "```c"; block += inside; next } inside && block == 2' "$source/README.md" >frames.c
ln -s "$source/shm" shm
ln -s "$WEIR_BUILD" build
sed -n '/^    cc .*frames\.c/s/^    //p' "$source/README.md" >compile
sh -e compile >log 2>&1
result $? "the_README_s_program_compiles"
sed -n "/^    \.\/frames/s/^    /timeout 2 stdbuf -oL /p" "$source/README.md" >show
sh show >log 2>&1
[ $? -eq 124 ] && has "frame " ": mean 1"
result $? "the_README_s_program_prints_frames"
cd / || exit 1

status=0
for pid in $sinks; do
	kill -INT "$pid"
	wait "$pid" || status=1
done
sinks=
cat "$folder"/sink.* >"$folder/log"
result $status "what_published_ends_well"
[ ! -e /tmp/cam0 ]
result $? "nothing_is_left"
gst-device-monitor-1.0 >"$folder/log" 2>&1
! has "Weir ring /tmp/cam0"
result $? "gst-device-monitor-1.0_lists_them_no_more"
echo "1..$number"
