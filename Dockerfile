# The Worker (and the command line) of rivya-temporal. Debian, because the native part of the Temporal SDK needs glibc.
FROM node:22.22-bookworm-slim AS dependencies
WORKDIR /app
# These layers are built again only when the dependencies change, not when the source does. None needs an install script.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund

# The Temporal packages are peer and development dependencies at once. `npm prune --omit=dev` would take them away;
# once the development list is gone, `npm prune` keeps what the package needs at run time, at the locked versions.
# The SDK brings its native part for every platform, about 27 MB each; the image is for Linux.
FROM dependencies AS runtime
RUN npm pkg delete devDependencies \
  && npm prune --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/@temporalio/core-bridge/releases/*-apple-* node_modules/@temporalio/core-bridge/releases/*-windows-*

FROM dependencies AS build
COPY . .
RUN npm run build

FROM node:22.22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=runtime /app/package.json ./
COPY --from=runtime /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# A new volume on /output takes over this owner, so that the Worker can write to it.
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/rivya-temporal && install -d -o node -g node /output
USER node
# Exec form: Node is process 1 and gets SIGTERM itself, so that the Worker can let running calls end.
ENTRYPOINT ["rivya-temporal"]
CMD ["worker"]
