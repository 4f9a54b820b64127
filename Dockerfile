# Curfew's worker and commands, from source. scripts/check-image.sh runs the same steps without Docker.
#
#   docker build --tag curfew:0.1.0 .
#   docker run --rm curfew:0.1.0 --help

# Debian, not Alpine: Temporal's native part is built for glibc.
FROM node:22.21.1-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No package needs its install script: binaries come as packages of their own.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && node scripts/prune-native.mjs

FROM node:22.21.1-bookworm-slim
# Temporal's client checks certificates with those of the system.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# Readable, whatever the umask of the checkout was: without package.json Node.js can't load the modules.
COPY --from=build --chmod=644 /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/curfew \
  && install --directory --owner=node --group=node --mode=0700 /var/lib/curfew

# Of the memory limit of 1 GB in docker-compose.yml this is the heap of JavaScript; the rest is for the native part and the
# isolates of workflows.
ENV NODE_ENV=production \
  NODE_OPTIONS=--max-old-space-size=512 \
  CURFEW_HOME=/var/lib/curfew \
  CURFEW_HTTP_ADDRESS=0.0.0.0:9464
EXPOSE 9464
USER node
# Where the command looks for a .env file.
WORKDIR /var/lib/curfew
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
  CMD ["node", "--eval", "fetch('http://127.0.0.1:9464/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["curfew"]
CMD ["worker"]
