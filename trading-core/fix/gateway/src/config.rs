//! The FIX gateway's configuration file.

use configuration::{BadValue, Checked, refuse, within};
use fix::DeskOptions;
use fix::session::Profile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use types::{AccountId, SessionId};

/// What a FIX gateway needs to know. JSON; unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Our `CompID`: the counterparties' `TargetCompID`.
    pub comp_id: String,
    /// Where it listens.
    pub listen: Listen,
    /// Where orders go, `host:port`: all replicas of the shard, or gateways in front of them.
    pub entries: Vec<String>,
    /// The shard that orders are for; needed where the entries serve several.
    #[serde(default)]
    pub shard: Option<u16>,
    /// A folder of its own for numbers and messages; it must outlive the process.
    pub store: PathBuf,
    /// The counterparties that trade.
    #[serde(default)]
    pub sessions: Vec<SessionConfig>,
    /// The counterparties that only listen.
    #[serde(default)]
    pub drop_copies: Vec<DropCopyConfig>,
    /// Where the log is read for them, `host:port`: the order addresses of the replicas themselves.
    #[serde(default)]
    pub log_replicas: Vec<String>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// Where a FIX gateway listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For counterparties.
    pub fix: SocketAddr,
    /// For metrics and health.
    pub http: SocketAddr,
}

/// One counterparty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// Its `CompID`: the `SenderCompID` of what it sends.
    pub comp_id: String,
    /// Its session with the core, from 1; no other program may use it.
    pub session: u64,
    /// The account that it trades for, from 1.
    pub account: u64,
    /// SHA-256 of the `Password` (554) that its logon must carry, 64 hexadecimal digits; absent when
    /// none is asked for.
    #[serde(default)]
    pub password_sha256: Option<String>,
}

/// One counterparty that gets copies of what happens to accounts' orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropCopyConfig {
    /// Its `CompID`: the `SenderCompID` of what it sends.
    pub comp_id: String,
    /// The accounts that it may hear of, from 1, each once.
    pub accounts: Vec<u64>,
    /// SHA-256 of the `Password` (554) that its logon must carry, 64 hexadecimal digits; absent when
    /// none is asked for.
    #[serde(default)]
    pub password_sha256: Option<String>,
}

/// Most drop copies: each reads the whole log and holds a state of its own.
const DROP_COPIES_MAX: usize = 8;

/// What the place of a message in the log takes in a file, at most.
const PLACE_BYTES: usize = 40;

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// TCP connections at once.
    pub connections_max: usize,
    /// Requests without an answer, a session; one more is turned away.
    pub in_flight_per_session_max: usize,
    /// Shortest `HeartBtInt` accepted, in seconds.
    pub heartbeat_s_min: u64,
    /// Longest.
    pub heartbeat_s_max: u64,
    /// How far `SendingTime` may be from this machine's clock, in seconds.
    pub sending_time_s_max: u64,
    /// Messages kept a session, to be sent again.
    pub resend_messages_max: usize,
    /// Messages of a drop copy whose places in the log are kept beyond that, to be read there again:
    /// at most 40 bytes each, together at most a quarter of `store_bytes_max`.
    pub recall_messages_max: usize,
    /// A request without an answer for so long is told to be pending, in milliseconds.
    pub pending_after_ms: u64,
    /// With no leader for so long requests are turned away, in milliseconds.
    pub refuse_after_ms: u64,
    /// A session's file is written anew, without what is no longer needed, beyond so many bytes.
    pub store_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            in_flight_per_session_max: 1_024,
            heartbeat_s_min: 1,
            heartbeat_s_max: 60,
            sending_time_s_max: 120,
            resend_messages_max: 16_384,
            recall_messages_max: 262_144,
            pending_after_ms: 500,
            refuse_after_ms: 5_000,
            store_bytes_max: 64 << 20,
        }
    }
}

impl Checked for Config {
    fn check(&self) -> Result<(), BadValue> {
        comp_id("comp_id", &self.comp_id)?;
        if self.entries.is_empty() {
            return refuse("entries", "[]", "name at least one host:port");
        }
        addresses("entries", &self.entries)?;
        self.check_sessions()?;
        self.check_drop_copies()?;
        self.limits.check()
    }
}

impl Config {
    fn check_sessions(&self) -> Result<(), BadValue> {
        let is_idle = self.sessions.is_empty() && self.drop_copies.is_empty();
        if is_idle || self.sessions.len() > 1_024 {
            let value = format!("with {} entries", self.sessions.len());
            return refuse("sessions", value, "name 1 to 1024 counterparties");
        }
        let (mut comp_ids, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for (place, session) in self.sessions.iter().enumerate() {
            let field = |name| format!("sessions[{place}].{name}");
            comp_id(&field("comp_id"), &session.comp_id)?;
            if !comp_ids.insert(&session.comp_id) {
                let value = format!("{:?}", session.comp_id);
                return refuse(field("comp_id"), value, "name each counterparty once");
            }
            if session.session == 0 || !numbers.insert(session.session) {
                let value = session.session.to_string();
                let accepted = "use a number from 1 that no other counterparty has";
                return refuse(field("session"), value, accepted);
            }
            if session.account == 0 {
                return refuse(field("account"), "0", "use a number from 1");
            }
            if let Some(text) = &session.password_sha256
                && read_digest(text).is_none()
            {
                let accepted = "use the 64 hexadecimal digits of a SHA-256, or leave it out";
                return refuse(field("password_sha256"), "set", accepted);
            }
        }
        Ok(())
    }

    fn check_drop_copies(&self) -> Result<(), BadValue> {
        if self.drop_copies.len() > DROP_COPIES_MAX {
            let value = format!("with {} entries", self.drop_copies.len());
            let accepted = format!("name at most {DROP_COPIES_MAX} a gateway");
            return refuse("drop_copies", value, accepted);
        }
        if !self.drop_copies.is_empty() && self.log_replicas.is_empty() {
            let accepted = "name the order address of each replica: drop_copies read their log";
            return refuse("log_replicas", "[]", accepted);
        }
        addresses("log_replicas", &self.log_replicas)?;
        let traders = self.sessions.iter().map(|session| &session.comp_id);
        let mut comp_ids: BTreeSet<&String> = traders.collect();
        for (place, copy) in self.drop_copies.iter().enumerate() {
            let field = |name| format!("drop_copies[{place}].{name}");
            comp_id(&field("comp_id"), &copy.comp_id)?;
            // It is a file's name, too.
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if !copy.comp_id.bytes().all(is_plain) || !comp_ids.insert(&copy.comp_id) {
                let value = format!("{:?}", copy.comp_id);
                let accepted = "use letters, digits, - and _, and each counterparty once";
                return refuse(field("comp_id"), value, accepted);
            }
            let accounts: BTreeSet<u64> = copy.accounts.iter().copied().collect();
            let is_sound = accounts.len() == copy.accounts.len() && !accounts.contains(&0);
            if accounts.is_empty() || !is_sound || accounts.len() > 65_536 {
                let value = format!("{:?}", copy.accounts);
                let accepted = "name 1 to 65536 accounts from 1, each once";
                return refuse(field("accounts"), value, accepted);
            }
            if let Some(text) = &copy.password_sha256
                && read_digest(text).is_none()
            {
                let accepted = "use the 64 hexadecimal digits of a SHA-256, or leave it out";
                return refuse(field("password_sha256"), "set", accepted);
            }
        }
        Ok(())
    }

    fn profile(&self, counterparty: &str, password_sha256: Option<&str>) -> Profile {
        let limits = &self.limits;
        Profile {
            comp_id: self.comp_id.clone(),
            counterparty: counterparty.to_owned(),
            password_sha256: password_sha256.and_then(read_digest),
            heartbeat_s_min: limits.heartbeat_s_min,
            heartbeat_s_max: limits.heartbeat_s_max,
            sending_time_s_max: limits.sending_time_s_max,
            resend_messages_max: limits.resend_messages_max,
        }
    }

    /// What the desk of a drop copy needs to know.
    #[must_use]
    pub fn drop_copy(&self, copy: &DropCopyConfig) -> drop_copy::DeskOptions {
        drop_copy::DeskOptions {
            profile: self.profile(&copy.comp_id, copy.password_sha256.as_deref()),
            accounts: copy.accounts.iter().copied().map(AccountId).collect(),
            // A checkpoint of them must leave most of the file to what comes behind it.
            recall_messages_max: (self.limits.recall_messages_max)
                .min(self.limits.store_bytes_max as usize / (4 * PLACE_BYTES)),
        }
    }

    /// What the desk of a counterparty needs to know.
    #[must_use]
    pub fn desk(&self, session: &SessionConfig) -> DeskOptions {
        let limits = &self.limits;
        DeskOptions {
            profile: self.profile(&session.comp_id, session.password_sha256.as_deref()),
            session: SessionId(session.session),
            account: AccountId(session.account),
            in_flight_max: limits.in_flight_per_session_max,
            pending_after_ms: limits.pending_after_ms,
            refuse_after_ms: limits.refuse_after_ms,
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), BadValue> {
        let bounds: [(&str, u64, u64, u64); 10] = [
            ("connections_max", self.connections_max as u64, 1, 65_536),
            (
                "in_flight_per_session_max",
                self.in_flight_per_session_max as u64,
                1,
                65_536,
            ),
            ("heartbeat_s_min", self.heartbeat_s_min, 1, 3_600),
            (
                "heartbeat_s_max",
                self.heartbeat_s_max,
                self.heartbeat_s_min,
                3_600,
            ),
            ("sending_time_s_max", self.sending_time_s_max, 1, 86_400),
            (
                "resend_messages_max",
                self.resend_messages_max as u64,
                1,
                1 << 20,
            ),
            (
                "recall_messages_max",
                self.recall_messages_max as u64,
                1,
                1 << 20,
            ),
            ("pending_after_ms", self.pending_after_ms, 1, 60_000),
            ("refuse_after_ms", self.refuse_after_ms, 1, 600_000),
            ("store_bytes_max", self.store_bytes_max, 1 << 20, 1 << 34),
        ];
        for (name, value, min, max) in bounds {
            within(&format!("limits.{name}"), value, min..=max)?;
        }
        Ok(())
    }
}

fn addresses(field: &str, addresses: &[String]) -> Result<(), BadValue> {
    for (place, address) in addresses.iter().enumerate() {
        if let Err(error) = client::endpoint(address) {
            let field = format!("{field}[{place}]");
            return refuse(field, format!("{address:?}"), error.to_string());
        }
    }
    Ok(())
}

fn comp_id(field: &str, text: &str) -> Result<(), BadValue> {
    let is_graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > 32 || !is_graphic {
        let accepted = "use 1 to 32 printable ASCII characters without spaces";
        return refuse(field, format!("{text:?}"), accepted);
    }
    Ok(())
}

fn read_digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written() -> Value {
        json!({
            "comp_id": "TRICENTER",
            "listen": {"fix": "0.0.0.0:7010", "http": "0.0.0.0:9102"},
            "entries": ["10.99.0.1:17112", "10.99.0.1:17122"],
            "store": "/var/lib/tricenter/fix",
            "sessions": [
                {"comp_id": "CLIENT01", "session": 70, "account": 7},
                {"comp_id": "CLIENT02", "session": 71, "account": 7,
                 "password_sha256": "ab".repeat(32)}
            ],
            "drop_copies": [{"comp_id": "BACKOFFICE", "accounts": [7, 8]}],
            "log_replicas": ["10.99.0.1:17112", "10.99.0.1:17122"],
            "limits": {"refuse_after_ms": 3_000}
        })
    }

    #[test]
    fn the_readmes_configuration_is_accepted() {
        let config: Config = serde_json::from_value(written()).unwrap();
        config.check().unwrap();
        let desk = config.desk(&config.sessions[1]);
        assert_eq!(desk.profile.password_sha256, Some([0xab; 32]));
        assert_eq!(desk.refuse_after_ms, 3_000);
    }

    #[test]
    fn a_value_that_cannot_be_is_named_by_its_field() {
        let cases = [
            ("/comp_id", json!("has space"), "comp_id"),
            ("/entries", json!([]), "entries"),
            ("/entries/1", json!("nowhere"), "entries[1]"),
            ("/log_replicas", json!([]), "log_replicas"),
            ("/log_replicas/0", json!("nowhere"), "log_replicas[0]"),
            (
                "/drop_copies/0/comp_id",
                json!("CLIENT01"),
                "drop_copies[0].comp_id",
            ),
            (
                "/drop_copies/0/comp_id",
                json!("../up"),
                "drop_copies[0].comp_id",
            ),
            (
                "/drop_copies/0/accounts",
                json!([7, 7]),
                "drop_copies[0].accounts",
            ),
            (
                "/drop_copies/0/accounts",
                json!([]),
                "drop_copies[0].accounts",
            ),
            (
                "/sessions/1/comp_id",
                json!("CLIENT01"),
                "sessions[1].comp_id",
            ),
            ("/sessions/1/session", json!(70), "sessions[1].session"),
            ("/sessions/0/account", json!(0), "sessions[0].account"),
            (
                "/sessions/1/password_sha256",
                json!("secret"),
                "sessions[1].password_sha256",
            ),
            (
                "/limits/refuse_after_ms",
                json!(0),
                "limits.refuse_after_ms",
            ),
        ];
        for (path, value, named) in cases {
            let mut text = written();
            *text.pointer_mut(path).unwrap() = value;
            let config: Config = serde_json::from_value(text).unwrap();
            assert_eq!(config.check().unwrap_err().field, named);
        }
    }

    #[test]
    fn a_gateway_for_nobody_is_refused() {
        let mut text = written();
        text["sessions"] = json!([]);
        let drop_copies_only: Config = serde_json::from_value(text.clone()).unwrap();
        drop_copies_only.check().unwrap();
        text["drop_copies"] = json!([]);
        let nobody: Config = serde_json::from_value(text).unwrap();
        let error = nobody.check().unwrap_err().to_string();
        assert!(error.contains("sessions with 0 entries"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut text = written();
        text["sessoins"] = json!([]);
        let error = serde_json::from_value::<Config>(text).unwrap_err();
        assert!(error.to_string().contains("sessoins"), "{error}");
    }
}
