-- A store as format 7 has it, rows and all; the pepper and the key that opens it are in `README.md`.
PRAGMA application_id = 1349678179;
PRAGMA user_version = 7;
BEGIN TRANSACTION;
CREATE TABLE account_grants (
    account   TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role      TEXT NOT NULL,
    within    TEXT NOT NULL,
    closed_at INTEGER,
    PRIMARY KEY (account, role, within)
) STRICT, WITHOUT ROWID;
INSERT INTO "account_grants" VALUES('sa_8uk4OH16qT78Py2JpNoVpV','reader','{}',NULL);
INSERT INTO "account_grants" VALUES('sa_xlGCXMmAqQ8rxMoz7qOckd','reader','{"tenant":["acme"]}',NULL);
CREATE TABLE accounts (
    id           TEXT PRIMARY KEY REFERENCES ids (id),
    name         TEXT NOT NULL UNIQUE,
    description  TEXT NOT NULL,
    enabled      INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    allow_from   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    last_used_at INTEGER
, applied_as TEXT, owner TEXT NOT NULL DEFAULT '{}') STRICT, WITHOUT ROWID;
INSERT INTO "accounts" VALUES('sa_8uk4OH16qT78Py2JpNoVpV','ci','Builds',1,'[]',1795352414076,1795352414076,NULL,NULL,'{}');
INSERT INTO "accounts" VALUES('sa_xlGCXMmAqQ8rxMoz7qOckd','off','',0,'[]',1795352415358,1795352415438,NULL,NULL,'{}');
CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    event   TEXT NOT NULL,
    actor   TEXT NOT NULL,
    account TEXT,
    record  TEXT NOT NULL,
    hash    BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO "audit" VALUES(1,1795352413923,'store.create','gateway',NULL,'{"timestamp":"2026-11-22T13:00:13.923Z","event.sequence":1,"event.name":"audit.store.create","event.outcome":"success","portcullis.actor.kind":"gateway","portcullis.object.kind":"store","portcullis.request_id":"01a20357-c6e3-71b4-aba6-903952676dd6","portcullis.after":{"from_format":0,"format":6}}',X'FDB4E3F23A805C5733E4FDE029152D76E700C43EFD47B866EED9C77021879FB7');
INSERT INTO "audit" VALUES(2,1795352414076,'account.create','root','ci','{"timestamp":"2026-11-22T13:00:14.076Z","event.sequence":2,"event.name":"audit.account.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"account","portcullis.object.id":"sa_8uk4OH16qT78Py2JpNoVpV","portcullis.object.name":"ci","portcullis.account.name":"ci","portcullis.asked":"account `ci`","portcullis.request_id":"01a20357-c77c-7d93-ac85-2a03be1bcbb4","service.instance.id":"in_RBrtTKAYWFfIjyUEYuhurY","portcullis.after":{"name":"ci","applied_as":null,"description":"Builds","enabled":true,"allow_from":[],"grants":[{"role":"reader"}],"keys":[]}}',X'435C261C2AA6165A39B8E479BA2D23A9E12FCE54EA23E3E1FE1AC1782D2D5632');
INSERT INTO "audit" VALUES(3,1795352414181,'key.create','root','ci','{"timestamp":"2026-11-22T13:00:14.181Z","event.sequence":3,"event.name":"audit.key.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"key","portcullis.object.id":"pck_nUr5Fvhg2i71YHBjypPMth1CjuL3","portcullis.account.name":"ci","portcullis.asked":"account `ci`","portcullis.request_id":"01a20357-c7e5-7d2f-95aa-7cef02e6bdc6","service.instance.id":"in_EUSaeTHM7AvVBORT6RTADc","portcullis.after":{"id":"pck_nUr5Fvhg2i71YHBjypPMth1CjuL3","description":"runner","expires_at":null,"only":null,"allow_from":[]}}',X'EFC63622A605821729FBDC1C89FD0F02C2108C6C2A84329E3673A58F1213A5B8');
INSERT INTO "audit" VALUES(4,1795352414273,'key.create','root','ci','{"timestamp":"2026-11-22T13:00:14.273Z","event.sequence":4,"event.name":"audit.key.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"key","portcullis.object.id":"pck_ktGJPhl2a6lre0N3FiwfLw1WNUvT","portcullis.account.name":"ci","portcullis.asked":"account `ci`","portcullis.request_id":"01a20357-c841-7169-9e33-c1cc7cff40f1","service.instance.id":"in_wLddGopKEfIpylTYWlqLbY","portcullis.after":{"id":"pck_ktGJPhl2a6lre0N3FiwfLw1WNUvT","description":"old","expires_at":null,"only":null,"allow_from":[]}}',X'BDBC6A39E86980835561E06575E0B272D3A333998580CABCF2648348766A6763');
INSERT INTO "audit" VALUES(5,1795352414985,'key.expire','root','ci','{"timestamp":"2026-11-22T13:00:14.985Z","event.sequence":5,"event.name":"audit.key.expire","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"key","portcullis.object.id":"pck_ktGJPhl2a6lre0N3FiwfLw1WNUvT","portcullis.account.name":"ci","portcullis.asked":"key `pck_ktGJPhl2a6lre0N3FiwfLw1WNUvT`","portcullis.request_id":"01a20357-cb09-70ec-8669-ffd30ed200c5","service.instance.id":"in_hBBfWIHoEVdZYzKmFCrjA8","portcullis.before":{"expires_at":null},"portcullis.after":{"expires_at":"2026-11-22T13:00:14.985Z"}}',X'B8944E0E491F2CB906ABD6795FFB1DFC34D662E0D6118CDB79E6DC3E4E6BCE38');
INSERT INTO "audit" VALUES(6,1795352415073,'account.create','root','gone','{"timestamp":"2026-11-22T13:00:15.073Z","event.sequence":6,"event.name":"audit.account.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"account","portcullis.object.id":"sa_kd2TcQt00oWW6YVGzzTbsP","portcullis.object.name":"gone","portcullis.account.name":"gone","portcullis.asked":"account `gone`","portcullis.request_id":"01a20357-cb61-7f62-85d8-3e7706824845","service.instance.id":"in_ankHR4XnFvMdeOT4NcYqrS","portcullis.after":{"name":"gone","applied_as":null,"description":"","enabled":true,"allow_from":[],"grants":[{"role":"reader"}],"keys":[]}}',X'448307F1A714E8C9AE223834CFAF4B9EA89D4BE6866E9B2F265BE491C2D292D2');
INSERT INTO "audit" VALUES(7,1795352415141,'key.create','root','gone','{"timestamp":"2026-11-22T13:00:15.141Z","event.sequence":7,"event.name":"audit.key.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"key","portcullis.object.id":"pck_zcZse0E92i1g2ypRg0zFPY3fkMFo","portcullis.account.name":"gone","portcullis.asked":"account `gone`","portcullis.request_id":"01a20357-cba5-7194-ad33-c18e1598dfd2","service.instance.id":"in_47hC0mFfism7SS2ADCJUyg","portcullis.after":{"id":"pck_zcZse0E92i1g2ypRg0zFPY3fkMFo","description":"","expires_at":null,"only":null,"allow_from":[]}}',X'72FF94D4DB2344BD38C6B1A21D14B9E543092098F276EEAA882D85B53308047D');
INSERT INTO "audit" VALUES(8,1795352415254,'account.delete','root','gone','{"timestamp":"2026-11-22T13:00:15.254Z","event.sequence":8,"event.name":"audit.account.delete","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"account","portcullis.object.id":"sa_kd2TcQt00oWW6YVGzzTbsP","portcullis.object.name":"gone","portcullis.account.name":"gone","portcullis.asked":"account `gone`","portcullis.request_id":"01a20357-cc15-7ce7-afb5-7aa02c1995a8","service.instance.id":"in_aOfVgNsIAyDVeIYiVrhN5b","portcullis.before":{"name":"gone","applied_as":null,"description":"","enabled":true,"allow_from":[],"grants":[{"role":"reader"}],"keys":["pck_zcZse0E92i1g2ypRg0zFPY3fkMFo"]}}',X'4F72DA516EACB6582C2C016309A7F9D69C7A9A1DAA849DF88C16725B35FAB83E');
INSERT INTO "audit" VALUES(9,1795352415358,'account.create','root','off','{"timestamp":"2026-11-22T13:00:15.358Z","event.sequence":9,"event.name":"audit.account.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"account","portcullis.object.id":"sa_xlGCXMmAqQ8rxMoz7qOckd","portcullis.object.name":"off","portcullis.account.name":"off","portcullis.asked":"account `off`","portcullis.request_id":"01a20357-cc7e-7f81-9487-10b6b068b351","service.instance.id":"in_DuwtXoc91Sq10nzUn6rhow","portcullis.after":{"name":"off","applied_as":null,"description":"","enabled":true,"allow_from":[],"grants":[{"role":"reader","within":{"tenant":["acme"]}}],"keys":[]}}',X'D4D5C765D4F5260B6FAA091DCF8B716A2B35D3EBD04C6BECF7BE52E478B1E67D');
INSERT INTO "audit" VALUES(10,1795352415438,'account.disable','root','off','{"timestamp":"2026-11-22T13:00:15.438Z","event.sequence":10,"event.name":"audit.account.disable","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"account","portcullis.object.id":"sa_xlGCXMmAqQ8rxMoz7qOckd","portcullis.object.name":"off","portcullis.account.name":"off","portcullis.asked":"account `off`","portcullis.request_id":"01a20357-ccce-7dfe-8894-8c338a76f9c8","service.instance.id":"in_p2klGMrFvFLojiQIlIcXgp","portcullis.before":{"enabled":true},"portcullis.after":{"enabled":false}}',X'0FECCE2A4FA2B33FCC44359DB6D66876A4AB62067B181033FF25E29A71DDD89C');
INSERT INTO "audit" VALUES(11,1795352415538,'role.create','root',NULL,'{"timestamp":"2026-11-22T13:00:15.538Z","event.sequence":11,"event.name":"audit.role.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"role","portcullis.object.name":"watcher","portcullis.asked":"role `watcher`","portcullis.request_id":"01a20357-cd31-7193-9ecf-e48be9bd9a85","service.instance.id":"in_4epSOBQFsFqVYZVDPSf9eZ","portcullis.after":{"description":"","permissions":["items:read"],"include":[],"api_access":true,"applied_as":null}}',X'4BA564590327B71568D5E552101133BB8518D8320F332CEBE29CE50AF40EF4C1');
INSERT INTO "audit" VALUES(12,1795352415654,'group.create','root',NULL,'{"timestamp":"2026-11-22T13:00:15.654Z","event.sequence":12,"event.name":"audit.group.create","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"group","portcullis.object.name":"builders","portcullis.asked":"group `builders`","portcullis.request_id":"01a20357-cda6-7922-a573-09e0f61b9ffd","service.instance.id":"in_pCVWZt0MAvaoJAchzgLvsd","portcullis.after":{"applied_as":null,"description":"","members":[],"grants":[{"role":"watcher"}]}}',X'D05B94B2C42C5339E62E78A3E7C0302D60E800C6C64B72C7C6F48387461D8280');
INSERT INTO "audit" VALUES(13,1795352415754,'group.add','root','ci','{"timestamp":"2026-11-22T13:00:15.754Z","event.sequence":13,"event.name":"audit.group.add","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"group","portcullis.object.name":"builders","portcullis.account.name":"ci","portcullis.asked":"group `builders`, account `ci`","portcullis.request_id":"01a20357-ce0a-74b5-a0bb-1908bdeb3a0f","service.instance.id":"in_yREZYBB9pkIX3kGlLvHShG","portcullis.before":{"members":[]},"portcullis.after":{"members":["sa_8uk4OH16qT78Py2JpNoVpV"]}}',X'EC2F1C3FD067020C251A6FF7F0CDB089D0223ABC7C8AF52B759B9E970CE2343E');
INSERT INTO "audit" VALUES(14,1795352415838,'signing_key.rotate','root',NULL,'{"timestamp":"2026-11-22T13:00:15.838Z","event.sequence":14,"event.name":"audit.signing_key.rotate","event.outcome":"success","portcullis.actor.kind":"local","user.id":"0","user.name":"root","portcullis.object.kind":"signing_key","portcullis.object.id":"1qkT_z-IsBeYxwgb","portcullis.request_id":"01a20357-ce5e-7799-b4a3-a896ace22d73","service.instance.id":"in_nXVp9ncPEF72XtqKh49ytU","portcullis.before":{"signing_keys":[{"kid":"RCwJn8T8u8vyiiRl","retired_at":null}]},"portcullis.after":{"signing_keys":[{"kid":"RCwJn8T8u8vyiiRl","retired_at":"2026-11-22T13:00:15.838Z"},{"kid":"1qkT_z-IsBeYxwgb","retired_at":null}]}}',X'193C81D3842FA7282E3378879CB2DA549E9605334672BC726976653839356403');
CREATE TABLE audit_ends (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    base_number INTEGER NOT NULL,
    base_hash   BLOB NOT NULL,
    head_number INTEGER NOT NULL,
    head_hash   BLOB NOT NULL,
    seal        BLOB NOT NULL
) STRICT;
INSERT INTO "audit_ends" VALUES(1,0,X'0000000000000000000000000000000000000000000000000000000000000000',14,X'193C81D3842FA7282E3378879CB2DA549E9605334672BC726976653839356403',X'30621995708CEFB775E948B052A0E8E64CA55C8233DC4013B6F094E9070FFE69');
CREATE TABLE denial_groups (
    key    TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE denials (
    id     TEXT PRIMARY KEY,
    at     INTEGER NOT NULL,
    known  INTEGER NOT NULL CHECK (known IN (0, 1)),
    whose  TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE file_accounts (
    name         TEXT PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE REFERENCES ids (id),
    disabled     INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    gone_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE file_key_ends (
    id      TEXT PRIMARY KEY,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE group_grants (
    group_name TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    within     TEXT NOT NULL,
    closed_at  INTEGER,
    PRIMARY KEY (group_name, role, within)
) STRICT, WITHOUT ROWID;
INSERT INTO "group_grants" VALUES('builders','watcher','{}',NULL);
CREATE TABLE group_members (
    group_name TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    account    TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    PRIMARY KEY (group_name, account)
) STRICT, WITHOUT ROWID;
INSERT INTO "group_members" VALUES('builders','sa_8uk4OH16qT78Py2JpNoVpV');
CREATE TABLE groups (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
, applied_as TEXT, owner TEXT NOT NULL DEFAULT '{}') STRICT, WITHOUT ROWID;
INSERT INTO "groups" VALUES('builders','',1795352415654,1795352415754,NULL,'{}');
CREATE TABLE ids (
    id      TEXT PRIMARY KEY,
    dead_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "ids" VALUES('sa_8uk4OH16qT78Py2JpNoVpV',NULL);
INSERT INTO "ids" VALUES('sa_kd2TcQt00oWW6YVGzzTbsP',1795352415254);
INSERT INTO "ids" VALUES('sa_xlGCXMmAqQ8rxMoz7qOckd',NULL);
CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    account      TEXT NOT NULL REFERENCES ids (id),
    description  TEXT NOT NULL,
    digest       BLOB NOT NULL CHECK (length(digest) = 32),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
, may_use TEXT, allow_from TEXT NOT NULL DEFAULT '[]', last_used_from TEXT, created_by TEXT) STRICT, WITHOUT ROWID;
INSERT INTO "keys" VALUES('pck_ktGJPhl2a6lre0N3FiwfLw1WNUvT','sa_8uk4OH16qT78Py2JpNoVpV','old',X'A2B0AFB176579596EA9E90465E3898DA7A6E9C99AB4F1198562B337341812A11',1795352414273,1795352414985,1795352414985,NULL,NULL,'[]',NULL,'user root');
INSERT INTO "keys" VALUES('pck_nUr5Fvhg2i71YHBjypPMth1CjuL3','sa_8uk4OH16qT78Py2JpNoVpV','runner',X'9EDD28A9362C29803EE56706C56276A1FA40682A41BC4AA6B4272B920DBAAFF4',1795352414181,1795352414181,NULL,NULL,NULL,'[]',NULL,'user root');
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('pepper',X'1ABC901A20E3053485723C69C9D03F7F1DE4CBBB1BEA46319A33A20494E93E5C');
INSERT INTO "meta" VALUES('seal',X'0000000000000001459A8B077975EE37C7D08FD7790D31FD2B071A13969A7CB4E44A7B37F241C7C9');
CREATE TABLE revoked_tokens (
    id TEXT PRIMARY KEY,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL,
    include     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
, api_access INTEGER NOT NULL DEFAULT 1 CHECK (api_access IN (0, 1)), applied_as TEXT, owner TEXT NOT NULL DEFAULT '{}') STRICT, WITHOUT ROWID;
INSERT INTO "roles" VALUES('watcher','','["items:read"]','[]',1795352415538,1795352415538,1,NULL,'{}');
CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY,
    public     BLOB NOT NULL CHECK (length(public) = 32),
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "signing_keys" VALUES('1qkT_z-IsBeYxwgb',X'09A7D260D27BDFB2DCA6F981046314058E32B2F2F3FA0A13F9EFC2BA11DE69B8',X'5ACC6127FD9EB27C4BC491C407B09EF18E2A5A8CFE3676E0FFD1063F5ACA856377B9879EEE7342145615EF15EC3233B8CD1EFF113B51814C103B05D961BBE0FF441A3B3112FA117C558CED06A80926791EA85906E8427A67740BD9FDCE206943D035F9963C5295A7A596C7FB8542BA',1795352415838,NULL);
INSERT INTO "signing_keys" VALUES('RCwJn8T8u8vyiiRl',X'FC51A05D0D79BBAFD2D44818E899FB7F36F581BB223E1082F210F73997270849',X'AB9E0BF4D3E4DDD657AC41AEB11C286E6D33311730F5016FE067A5A54E614043F5BF8C0C60C6953CF146091532BE20826BB151C89267279C0248322AD3799BC63A16E966CB266D5667F651018105BF6852C7B90CA24CEA599E9D601DEF81A8D81B48849B826A4D83239DAEA52860AC',1795352413923,1795352415838);
CREATE INDEX account_grants_by_role ON account_grants (role);
CREATE INDEX keys_by_account ON keys (account);
CREATE INDEX group_members_by_account ON group_members (account);
CREATE INDEX denials_by_time ON denials (at);
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_event ON audit (event, number);
CREATE INDEX audit_by_actor ON audit (actor, number);
CREATE INDEX audit_by_account ON audit (account, number);
COMMIT;
