/**
 * gRPC channel settings for a server on this machine: no HTTP proxy from the environment in between, and quick new
 * attempts, because the server may be restarting (the default waits 1 s, then up to 120 s).
 * Names: grpc-js, "channel options".
 */
export const LOOPBACK_CHANNEL_ARGS = {
  'grpc.enable_http_proxy': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
} as const;
