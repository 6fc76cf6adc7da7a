/** Every version of the schema, oldest first. A published one is never changed. */
export const SQLITE_MIGRATIONS: readonly string[] = [
  `CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
   INSERT INTO counter VALUES ('id', 1), ('epoch', 0), ('before', 0), ('event', 0);
   CREATE TABLE client (id TEXT PRIMARY KEY, settings TEXT NOT NULL, enabled INTEGER NOT NULL,
     version INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE "grant" (id INTEGER PRIMARY KEY, client_id TEXT NOT NULL, user_id TEXT, session_id TEXT,
     scope TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
     born INTEGER NOT NULL, detail TEXT);
   CREATE INDEX grant_expiry ON "grant" (expires_at);
   CREATE INDEX grant_client ON "grant" (client_id);
   CREATE INDEX grant_user ON "grant" (user_id) WHERE user_id IS NOT NULL;
   CREATE INDEX grant_session ON "grant" (session_id) WHERE session_id IS NOT NULL;
   CREATE TABLE grant_end (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
   CREATE TABLE token (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, hash BLOB NOT NULL,
     grant_id INTEGER NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, detail TEXT);
   CREATE INDEX token_expiry ON token (expires_at);
   CREATE INDEX token_grant ON token (grant_id);
   CREATE TABLE token_end (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, at INTEGER NOT NULL,
     successor INTEGER);
   CREATE TABLE token_end_recent (seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, state INTEGER NOT NULL,
     at INTEGER NOT NULL, successor INTEGER);
   CREATE TABLE mark (key TEXT PRIMARY KEY, epoch INTEGER NOT NULL, before INTEGER NOT NULL,
     keep_until INTEGER NOT NULL) WITHOUT ROWID;
   CREATE INDEX mark_expiry ON mark (keep_until);
   CREATE TABLE mark_setting (key TEXT NOT NULL, epoch INTEGER NOT NULL, before INTEGER NOT NULL,
     at INTEGER NOT NULL);
   CREATE INDEX mark_setting_key ON mark_setting (key);
   CREATE TABLE used_once (key TEXT PRIMARY KEY, keep_until INTEGER NOT NULL) WITHOUT ROWID;
   CREATE INDEX used_once_expiry ON used_once (keep_until);
   CREATE TABLE event (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL,
     cause TEXT NOT NULL, actor TEXT NOT NULL, client_id TEXT, user_id TEXT, grant_id INTEGER,
     session_id TEXT, token TEXT, request TEXT, detail TEXT);
   CREATE INDEX event_milestone ON event (at) WHERE seq % 64 = 0;`,
  // Whether a grant is there that a mark killed is one look at the oldest of its reach.
  `DROP INDEX grant_client; DROP INDEX grant_user; DROP INDEX grant_session;
   CREATE INDEX grant_client ON "grant" (client_id, born);
   CREATE INDEX grant_user ON "grant" (user_id, born) WHERE user_id IS NOT NULL;
   CREATE INDEX grant_session ON "grant" (session_id, born) WHERE session_id IS NOT NULL;`,
  // What happened is never asked for by its parts: as one text it costs half the time to write.
  `CREATE TABLE event_as_text (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, told TEXT NOT NULL);
   INSERT INTO event_as_text SELECT seq, at, json_array(type, cause, actor, client_id, user_id, grant_id,
     session_id, token, request, detail) FROM event;
   DROP TABLE event;
   ALTER TABLE event_as_text RENAME TO event;
   CREATE INDEX event_milestone ON event (at) WHERE seq % 64 = 0;`,
  // A setting comes to an end by itself, and what a grant died by first is one look.
  `ALTER TABLE mark_setting ADD COLUMN keep_until INTEGER NOT NULL DEFAULT 0;
   UPDATE mark_setting SET keep_until = coalesce(
     (SELECT m.keep_until FROM mark m WHERE m.key = mark_setting.key), 0);
   DROP INDEX mark_setting_key;
   CREATE INDEX mark_setting_first ON mark_setting (key, epoch, before);
   CREATE INDEX mark_setting_expiry ON mark_setting (keep_until);`,
]
