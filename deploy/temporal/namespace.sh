#!/bin/sh
# Makes Curfew's namespace, as soon as the server answers; harmless when it is there. The CLI reads TEMPORAL_ADDRESS.
set -eu
namespace=curfew
# Curfew needs no history of closed cases; this is for people who look back.
retention=7d
seconds=120

while ! "${TEMPORAL_CLI:-temporal}" operator namespace describe --namespace "$namespace" >/dev/null 2>&1; do
  # Two may try at once, and a server that has just started may not be ready: the next look decides.
  said="$("${TEMPORAL_CLI:-temporal}" operator namespace create --namespace "$namespace" --retention "$retention" 2>&1)" ||
    [ "$seconds" -gt 0 ] || {
    printf 'The namespace %s could not be made: %s\n' "$namespace" "$said" >&2
    exit 1
  }
  seconds=$((seconds - 1))
  sleep 1
done
