#!/bin/sh
# A sound card in user space, for tests: runs a command that sees it as the only card, and takes it down afterwards.
#
#     tests/virtual_soundcard.sh COMMAND [ARGUMENT...]
#
#   speaker   what the command plays;    to listen:  parec -d speaker.monitor
#   mic       what the command records;  to speak:   paplay -d micfeed speech.wav
#
# Needs neither root nor hardware, but Debian's pulseaudio, pulseaudio-utils and libasound2-plugins.
set -eu

[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 64; }
for tool in pulseaudio pactl parec paplay; do
    command -v $tool >/dev/null ||
        { echo "no $tool: apt-get install pulseaudio pulseaudio-utils libasound2-plugins" >&2; exit 69; }
done

umask 077
dir=$(mktemp -d /tmp/soundcard.XXXXXX) # short: a UNIX socket's path has at most 107 bytes
server=
take_down() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$dir"
}
trap take_down EXIT
trap 'exit 130' INT TERM HUP

# norewinds: a null sink that nobody plays to would sit on blocks of two seconds, and cut beginnings.
cat > "$dir/default.pa" <<END
.fail
load-module module-native-protocol-unix auth-anonymous=1 auth-cookie-enabled=0 socket=$dir/native
load-module module-null-sink sink_name=speaker format=s16le rate=48000 channels=2 norewinds=1
load-module module-null-sink sink_name=micfeed format=s16le rate=48000 channels=2 norewinds=1
load-module module-remap-source source_name=mic master=micfeed.monitor
set-default-sink speaker
set-default-source mic
END
cat > "$dir/asound.conf" <<END
pcm.!default { type pulse
               hint { show on
                      description "virtual sound card" } }
ctl.!default { type pulse }
END

export PULSE_SERVER="unix:$dir/native" PULSE_COOKIE="$dir/cookie" PULSE_RUNTIME_PATH="$dir" PULSE_STATE_PATH="$dir"
export ALSA_CONFIG_PATH="$dir/asound.conf" JACK_NO_START_SERVER=1
# It ends with this script, or five minutes after its last client should the script be killed.
env -u PULSE_SERVER -u DISPLAY -u DBUS_SESSION_BUS_ADDRESS XDG_RUNTIME_DIR="$dir" XDG_CONFIG_HOME="$dir" \
    pulseaudio -n -F "$dir/default.pa" --daemonize=no --use-pid-file=no --exit-idle-time=300 --disable-shm=yes \
    --realtime=yes --high-priority=yes --log-level=notice --log-target=file:"$dir/log" </dev/null >/dev/null 2>&1 &
server=$!
tries=100
until timeout 5 pactl list short sources 2>/dev/null | grep -q '	mic	'; do
    tries=$((tries - 1))
    if [ $tries = 0 ] || ! kill -0 "$server" 2>/dev/null; then
        { echo "pulseaudio does not start:"; cat "$dir/log" 2>/dev/null; } >&2
        exit 69
    fi
    sleep 0.1
done
# The sinks ask for real-time priority themselves; so shall what feeds them, where this user may.
chrt --rr --pid 4 "$server" >/dev/null 2>&1 || true

status=0
"$@" || status=$?
exit $status
