#!/usr/bin/env bash
# Runs the processes of docker-compose.yml without containers, tries them and says what came of it: deploy/try-stack.sh
#
# PostgreSQL, the Temporal server of the images, `schema.sh`, `setup.sh`, the emulator and Workers; then a batch of 100, 20 holds
# that are released at once, and two Workers under a limit of 60 calls a minute. Nothing is paid, and nothing is left behind but
# the compiled server in the cache. Needs a clone after `npm ci`, Go (the first run compiles the server, 5 minutes or more) and the
# programs of PostgreSQL. A run takes 5 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

TEMPORAL=v1.32.0
NAMESPACE=emulator
HOLDS=20
JOBS=40

fail() {
  echo "try-stack: $*" >&2
  exit 1
}
say() { printf '%s  %s\n' "$(date +%T)" "$*"; }

# Debian keeps the programs of the server off the PATH.
for directory in /usr/lib/postgresql/*/bin; do PATH="$PATH:$directory"; done
command -v initdb >/dev/null || fail 'initdb is missing: install PostgreSQL (Debian: apt-get install postgresql).'
for program in node curl; do command -v "$program" >/dev/null || fail "$program is missing."; done
[ -f dist/src/cli/main.js ] || fail 'the package is not built: run npm ci.'

bin="${XDG_CACHE_HOME:-$HOME/.cache}/rivya-temporal/temporal-server-$TEMPORAL"
if [ ! -x "$bin/server" ] || [ ! -x "$bin/sql" ]; then
  command -v go >/dev/null || fail 'go is missing: it compiles the Temporal server.'
  say "compiling the Temporal server $TEMPORAL"
  GOBIN=$bin nice go install "go.temporal.io/server/cmd/server@$TEMPORAL" "go.temporal.io/server/cmd/tools/sql@$TEMPORAL"
fi

work=$(mktemp -d)
pids=()
# Ends what this script has started, the newest first, and by its process ID alone.
clean_up() {
  local status=$? n
  trap - EXIT
  if [ "$status" != 0 ]; then tail -n 20 "$work"/*.log >&2 || true; fi
  for ((n = ${#pids[@]} - 1; n >= 0; n--)); do stop "${pids[n]}"; done
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# stop <pid>: asks it to end, and waits for up to 90 s, as docker-compose.yml does.
stop() {
  kill "$1" 2>/dev/null || return 0
  for _ in $(seq 900); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# start <name> <command...>: in the background, with a log of its own.
start() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 </dev/null &
  pids+=($!)
}

# until_done <seconds> <command...>
until_done() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "waited in vain for: $*"
    sleep 0.5
  done
}

# free_ports [count]: below 32768, because PostgreSQL keeps the ports of the server as smallint.
free_ports() {
  node -e "
    const find = (count) => {
      if (count === 0) return;
      const port = 10_000 + Math.floor(Math.random() * 22_000);
      const server = require('net').createServer().listen(port, '127.0.0.1');
      server.once('error', () => find(count));
      server.once('listening', () => server.close(() => (console.log(port), find(count - 1))));
    };
    find(${1:-1});"
}
rivya() { node dist/src/cli/main.js "$@"; }
admin() { curl -fsS --noproxy '*' "$RIVYA_BASE_URL/__admin/$1" ${2:+--json "$2"}; }
# js <expression over `it`, the JSON that comes in>
js() { node -e "let text = ''; process.stdin.on('data', (part) => (text += part)).on('end', () => { const it = JSON.parse(text); console.log($1); })"; }
megabytes() { awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$1/status" 2>/dev/null || true; }
paid() { admin ledger | js 'it.paidTasks'; }
paid_twice() { admin ledger | js 'Object.values(it.keys).filter(({ tasks }) => tasks.length > 1).length + it.withoutKey.length'; }
count() { temporal workflow count --query "$1" --output json | js 'it.count'; }
is_count() { [ "$(count "$2")" = "$1" ]; }
same() { [ "$2" = "$3" ] || fail "$1: $2, and not $3"; }

# ---- PostgreSQL. It refuses to run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
  id postgres >/dev/null 2>&1 || fail 'PostgreSQL does not run as root, and there is no user postgres.'
  as_postgres=(setpriv --reuid postgres --regid postgres --clear-groups --)
fi
chmod 755 "$work"
install -d ${as_postgres[0]:+-o postgres} "$work/database"
od -An -tx1 -N24 /dev/urandom | tr -d ' \n' >"$work/password"
chmod 444 "$work/password"
export SQL_HOST=127.0.0.1 SQL_USER=temporal SQL_PASSWORD_FILE=$work/password
SQL_PORT=$(free_ports)
export SQL_PORT
"${as_postgres[@]}" initdb -D "$work/database" -U temporal -A scram-sha-256 --pwfile "$work/password" >"$work/initdb.log"
start postgres "${as_postgres[@]}" postgres -D "$work/database" -p "$SQL_PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200
postgres_pid=$!
until_done 60 pg_isready -h 127.0.0.1 -p "$SQL_PORT"
say "$(postgres --version) is ready"

# ---- The schema, under the names that the images have.
ln -s "$bin/sql" "$work/temporal-sql-tool"
ln -s "$(node --input-type=module -e "import { findServerBinary } from './dist/src/temporal/embedded/find.js'; console.log(await findServerBinary({ log: console.error }))")" "$work/temporal"
PATH="$work:$PATH"
for run in first second; do
  started=$SECONDS
  sh deploy/temporal/schema.sh >"$work/schema.log" 2>&1
  say "schema, $run run: $((SECONDS - started)) s"
done

# ---- Temporal.
started=$SECONDS
# Two for each of its four services, one for HTTP and one for its metrics.
mapfile -t ports < <(free_ports 10)
export TEMPORAL_ADDRESS=127.0.0.1:${ports[0]} TEMPORAL_NAMESPACE=$NAMESPACE
start temporal env DB=postgres12 DB_PORT="$SQL_PORT" POSTGRES_SEEDS=127.0.0.1 POSTGRES_USER=temporal POSTGRES_PWD="$(<"$work/password")" \
  NUM_HISTORY_SHARDS=16 DYNAMIC_CONFIG_FILE_PATH="$PWD/deploy/temporal/dynamic-config.yml" PROMETHEUS_ENDPOINT="127.0.0.1:${ports[9]}" \
  LOG_LEVEL=warn BIND_ON_IP=127.0.0.1 FRONTEND_GRPC_PORT="${ports[0]}" FRONTEND_HTTP_PORT="${ports[8]}" FRONTEND_MEMBERSHIP_PORT="${ports[1]}" \
  MATCHING_GRPC_PORT="${ports[2]}" MATCHING_MEMBERSHIP_PORT="${ports[3]}" HISTORY_GRPC_PORT="${ports[4]}" HISTORY_MEMBERSHIP_PORT="${ports[5]}" \
  WORKER_GRPC_PORT="${ports[6]}" WORKER_MEMBERSHIP_PORT="${ports[7]}" "$bin/server" start
temporal_pid=$!
until_done 60 temporal operator cluster health
say "Temporal $TEMPORAL answers after $((SECONDS - started)) s"
for run in first second; do
  started=$SECONDS
  sh deploy/temporal/setup.sh "$NAMESPACE" >"$work/setup.log" 2>&1
  say "setup, $run run: $((SECONDS - started)) s"
done
same 'retention' "$(temporal operator namespace describe -n "$NAMESPACE" -o json | js 'it.config.workflowExecutionRetentionTtl')" 2592000s
long=$(printf 'x%.0s' $(seq 256))
if temporal workflow start --type none --task-queue none --workflow-id "$long" >/dev/null 2>"$work/long.log"; then fail 'an ID of 256 characters was taken'; fi
say "an ID of 256 characters: $(tail -n 1 "$work/long.log" | cut -c 1-120)"

# ---- The emulator and a Worker.
port=$(free_ports)
export RIVYA_BASE_URL=http://127.0.0.1:$port RIVYA_API_KEY=rvya_sk_emulator RIVYA_TRUSTED_RESULT_HOSTS=127.0.0.1:$port
export RIVYA_STORE=file:$work/output
start emulator node dist/src/cli/main.js emulator --port "$port" --credits 100000 --rate-limit 6000
until_done 30 admin ledger
# start_worker <name> <limit>
start_worker() {
  local health
  health=$(free_ports)
  start "$1" env RIVYA_RATE_LIMIT_PER_MINUTE="$2" RIVYA_HEALTH_ADDRESS="127.0.0.1:$health" node dist/src/cli/main.js worker
  worker_pid=$!
  until_done 60 curl -fsS --noproxy '*' "http://127.0.0.1:$health/readyz"
}
start_worker worker 6000
say 'the Worker is ready'

# prompts <count>: a file of a batch.
prompts() {
  echo 'model,prompt'
  for n in $(seq "$1"); do echo "z-image,\"$2 $n\""; done
}

# ---- (1) A batch of 100.
prompts 100 'a fox' >"$work/foxes.csv"
started=$SECONDS
rivya batch run "$work/foxes.csv" --id foxes --yes --max-credits 10000 >"$work/foxes.log" 2>&1 || fail 'the batch of 100'
took=$((SECONDS - started))
same 'paid tasks' "$(paid)" 100
same 'paid twice' "$(paid_twice)" 0
say "batch of 100: $took s, 100 paid, 0 paid twice; memory of Worker, Temporal, first process of PostgreSQL: $(megabytes "$worker_pid"), $(megabytes "$temporal_pid"), $(megabytes "$postgres_pid") MB"

# ---- (2) Holds, and their release in bulk.
admin credits '{"credits":0}' >/dev/null
for n in $(seq "$HOLDS"); do
  rivya generate --model z-image --prompt "a heron $n" --id "heron-$n" --no-wait >>"$work/herons.log" 2>&1
done
held="RivyaStatus = 'held:insufficient_credits' AND ExecutionStatus = 'Running'"
until_done 120 is_count "$HOLDS" "$held"
same 'paid while credits are missing' "$(paid)" 100
admin credits '{"credits":100000}' >/dev/null
started=$SECONDS
rivya resume --query "RivyaStatus = 'held:insufficient_credits'" --yes >"$work/resume.log" 2>&1 || fail 'the release'
released=$((SECONDS - started))
until_done 120 is_count "$HOLDS" "WorkflowId STARTS_WITH 'heron-' AND ExecutionStatus = 'Completed'"
same 'paid after the release' "$(paid)" $((100 + HOLDS))
same 'paid twice' "$(paid_twice)" 0
say "$HOLDS holds: released by one command in $released s, all stored after $((SECONDS - started)) s, each paid once"

# ---- (3) Two Workers, many jobs and 60 calls a minute, which the emulator enforces.
stop "$worker_pid"
admin rate-limit '{"perMinute":60}' >/dev/null
# The window of the API's limit has the calls of before in it.
sleep 61
start_worker worker-1 60
start_worker worker-2 60
prompts "$JOBS" 'an owl' >"$work/owls.csv"
since=$(node -p 'Date.now()')
started=$SECONDS
RIVYA_RATE_LIMIT_PER_MINUTE=60 rivya batch run "$work/owls.csv" --id owls --yes --max-credits 10000 >"$work/owls.log" 2>&1 || fail 'the batch under the limit'
took=$((SECONDS - started))
same 'paid tasks' "$(paid)" $((100 + HOLDS + JOBS))
same 'paid twice' "$(paid_twice)" 0
admin requests | js "(() => {
  const calls = it.filter(({ at, path }) => at >= $since && path.startsWith('/api/'));
  const most = Math.max(...calls.map(({ at }) => calls.filter((other) => other.at >= at && other.at < at + 60_000).length));
  const minutes = Array.from({ length: Math.ceil($took / 60) }, (_, n) => calls.filter(({ at }) => Math.floor((at - $since) / 60_000) === n).length);
  const refused = calls.filter(({ status }) => status === 429).length;
  return \`$JOBS jobs, 2 Workers, 60 calls a minute: $took s; calls in each minute \${minutes.join(', ')}; most in any 60 s \${most}; 429: \${refused}\`;
})()" >"$work/rate"
say "$(<"$work/rate")"
temporal task-queue describe --task-queue rivya-api
say "all as it should be"
