#!/bin/sh
# Makes the database on the first start, then runs the server as its own user.
set -eu
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD is needed to make the database}"
  user=${POSTGRES_USER:-postgres}
  as_postgres mkdir -p "$PGDATA"
  secret=$(as_postgres mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" > "$secret"
  as_postgres initdb --pgdata="$PGDATA" --username="$user" --pwfile="$secret" \
    --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8 --locale=C.UTF-8 > /dev/null
  rm -f "$secret"
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  # Until the database exists the server listens on its socket only, so nobody meets it half-made.
  as_postgres pg_ctl --pgdata="$PGDATA" --wait -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start > /dev/null
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    as_postgres createdb --host=/tmp --username="$user" "${POSTGRES_DB:-$user}"
  fi
  as_postgres pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop > /dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$@" \
  -c listen_addresses='*' -c unix_socket_directories=/tmp
