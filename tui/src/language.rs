//! The words of the screen, in English and in simplified Chinese.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A language of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English.
    #[value(name = "en")]
    English,
    /// 简体中文.
    #[value(name = "zh-CN", alias = "zh")]
    Chinese,
}

/// A word or sentence of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each stands for its English text below")]
pub enum Word {
    Centers,
    Center,
    Site,
    Replica,
    Role,
    Epoch,
    Applied,
    Lag,
    Voice,
    Kubernetes,
    Links,
    Delay,
    Measured,
    Clients,
    Orders,
    OrdersPerSecond,
    CommitLatency,
    Accepted,
    Rejected,
    Trades,
    OpenOrders,
    LastFailover,
    LastHandover,
    NoFailover,
    Selected,
    Elections,
    Map,
    Leader,
    Follower,
    Candidate,
    PreCandidate,
    Serving,
    Electing,
    NoQuorum,
    Unknown,
    RpoZero,
    RpoAtRisk,
    RpoUnknown,
    Live,
    Ago,
    Never,
    PoweredOff,
    Unreachable,
    NoCluster,
    NoObject,
    Ready,
    NotReady,
    ReadinessUnknown,
    Cut,
    FromRun,
    FromReplica,
    Total,
    Lost,
    Doubled,
    Detect,
    Fence,
    Elect,
    Replay,
    Reroute,
    FirstOrder,
    Planned,
    Unplanned,
    First,
    Last5s,
    Dropped,
    Journal,
    DiskFree,
    Version,
    Conditions,
    Address,
    Sessions,
    Since,
    KeysQuit,
    KeysHelp,
    KeysCenter,
    Help,
    HelpKeys,
    HelpSymbols,
    TooSmall,
    Waiting,
    Maintenance,
    Operation,
}

impl Language {
    /// The language of the environment's locale (`LC_ALL`, `LC_MESSAGES`, `LANG`, the first that is
    /// set and not empty).
    #[must_use]
    pub fn from_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        match locale {
            Some(locale) if locale.to_ascii_lowercase().starts_with("zh") => Self::Chinese,
            _ => Self::English,
        }
    }

    /// A word in this language.
    #[must_use]
    pub const fn say(self, word: Word) -> &'static str {
        let (english, chinese) = both(word);
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}

const fn both(word: Word) -> (&'static str, &'static str) {
    match word {
        Word::Centers => ("Centers", "数据中心"),
        Word::Center => ("CENTER", "中心"),
        Word::Site => ("SITE", "城市"),
        Word::Replica => ("REPLICA", "副本"),
        Word::Role => ("ROLE", "角色"),
        Word::Epoch => ("EPOCH", "任期"),
        Word::Applied => ("APPLIED", "已应用"),
        Word::Lag => ("LAG", "落后"),
        Word::Voice => ("HEARD", "消息"),
        Word::Kubernetes => ("KUBERNETES", "KUBERNETES"),
        Word::Links => ("Links", "链路"),
        Word::Delay => ("SET", "设定"),
        Word::Measured => ("MEASURED", "实测"),
        Word::Clients => ("clients", "客户端"),
        Word::Orders => ("Orders", "订单"),
        Word::OrdersPerSecond => ("orders/s", "笔/秒"),
        Word::CommitLatency => ("commit", "提交"),
        Word::Accepted => ("accepted", "已接受"),
        Word::Rejected => ("rejected", "已拒绝"),
        Word::Trades => ("trades", "成交"),
        Word::OpenOrders => ("open", "未成交"),
        Word::LastFailover => ("Last failover", "最近一次故障切换"),
        Word::LastHandover => ("last planned switchover", "最近一次计划切换"),
        Word::NoFailover => (
            "None is known: no replica recorded one and no run left a report.",
            "未知：没有副本记录过故障切换，也没有演练报告。",
        ),
        Word::Selected => ("Center", "中心"),
        Word::Elections => ("Changes of leader", "主副本变更"),
        Word::Map => ("Map", "拓扑"),
        Word::Leader => ("leader", "主"),
        Word::Follower => ("follower", "从"),
        Word::Candidate => ("candidate", "候选"),
        Word::PreCandidate => ("suspecting", "疑似失主"),
        Word::Serving => ("serving", "服务中"),
        Word::Electing => ("FAILOVER IN PROGRESS", "正在切换"),
        Word::NoQuorum => ("NO LEADER, NO QUORUM HEARD", "无主，未见多数派"),
        Word::Unknown => ("unknown who leads", "主副本未知"),
        Word::RpoZero => ("RPO 0 ✓", "RPO 0 ✓"),
        Word::RpoAtRisk => ("RPO AT RISK !", "RPO 有风险 !"),
        Word::RpoUnknown => ("RPO ?", "RPO ?"),
        Word::Live => ("live", "实时"),
        Word::Ago => ("ago", "前"),
        Word::Never => ("never", "从未"),
        Word::PoweredOff => ("no power", "已断电"),
        Word::Unreachable => ("unreachable since", "无法连接，自"),
        Word::NoCluster => ("not given", "未提供"),
        Word::NoObject => ("no TradingCore", "无 TradingCore"),
        Word::Ready => ("Ready", "就绪"),
        Word::NotReady => ("not Ready", "未就绪"),
        Word::ReadinessUnknown => ("Ready unknown", "就绪未知"),
        Word::Cut => ("CUT", "已切断"),
        Word::FromRun => (
            "measured by the lab's run, fault to first order accepted",
            "由演练测得：从故障到首笔被接受的订单",
        ),
        Word::FromReplica => (
            "as the new leader recorded it; fault and re-route are not in its view",
            "由新的主副本记录；故障时刻和改道不在其视野内",
        ),
        Word::Total => ("RTO", "RTO"),
        Word::Lost => ("lost", "丢失"),
        Word::Doubled => ("doubled", "重复"),
        Word::Detect => ("detect", "发现"),
        Word::Fence => ("fence", "隔离"),
        Word::Elect => ("elect", "选举"),
        Word::Replay => ("replay", "回放"),
        Word::Reroute => ("re-route", "改道"),
        Word::FirstOrder => ("first order", "首单"),
        Word::Planned => ("planned", "计划"),
        Word::Unplanned => ("failover", "故障"),
        Word::First => ("first", "首次"),
        Word::Last5s => ("over 5 s", "5 秒平均"),
        Word::Dropped => ("updates dropped", "条更新被丢弃"),
        Word::Journal => ("journal", "日志"),
        Word::DiskFree => ("disk free", "磁盘剩余"),
        Word::Version => ("version", "版本"),
        Word::Conditions => ("conditions", "状况"),
        Word::Address => ("address", "地址"),
        Word::Sessions => ("sessions", "会话"),
        Word::Since => ("since", "自"),
        Word::KeysQuit => ("quit", "退出"),
        Word::KeysHelp => ("help", "帮助"),
        Word::KeysCenter => ("center", "选择中心"),
        Word::Help => ("Help", "帮助"),
        Word::HelpKeys => (
            "q, Ctrl-C      quit\n\
             ?              this help; ? or Esc closes it\n\
             Tab, ↓, →      next center\n\
             Shift-Tab, ↑, ← previous center\n\
             1 to 9         that center\n",
            "q、Ctrl-C      退出\n\
             ?              本帮助；? 或 Esc 关闭\n\
             Tab、↓、→      下一个中心\n\
             Shift-Tab、↑、← 上一个中心\n\
             1 至 9         选择该中心\n",
        ),
        Word::HelpSymbols => (
            "★ leader, serving   ● follower   ◌ asks for votes\n\
             ✓ good   ! not good   × silent or cut   ? nobody can say\n\
             ~ stale: the figure is as old as shown\n\
             Replicas are heard directly, so trading stays live here when\n\
             every API server is dead; Kubernetes then shows as unreachable.",
            "★ 主，服务中   ● 从   ◌ 请求投票\n\
             ✓ 正常   ! 异常   × 无声或切断   ? 无法判断\n\
             ~ 过时：数据已有所示时长未更新\n\
             副本状态直接来自副本本身，所有 API 服务器都失效时，\n\
             交易状态仍然实时；Kubernetes 一栏则显示无法连接。",
        ),
        Word::TooSmall => ("window too small: need", "窗口太小：至少需要"),
        Word::Waiting => ("waiting for the first second", "等待第一秒数据"),
        Word::Maintenance => ("maintenance lease", "维护租约"),
        Word::Operation => ("planned move", "计划切换"),
    }
}

/// The columns that a text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to at most `columns`, with `…` when something was cut. Never half of a wide
/// character.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let kept: String = text
        .chars()
        .take_while(|character| {
            let taken = character.width().unwrap_or(0);
            let fits = taken <= left;
            left = left.saturating_sub(taken);
            fits
        })
        .collect();
    if columns == 0 { kept } else { kept + "…" }
}

/// The text in exactly `columns`, padded on the right.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    let mut text = fit(text, columns);
    let missing = columns.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// A duration in the largest fitting unit: `250 ms`, `1.5 s`, `12 s`, `3 min`, `2 h`.
#[must_use]
pub fn age(us: u64) -> String {
    let ms = us / 1_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// Microseconds as milliseconds, rounded to one place.
#[must_use]
pub fn milliseconds(us: u64) -> String {
    let tenths = us.saturating_add(50) / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

/// A whole number with commas between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the largest fitting binary unit.
#[must_use]
pub fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{} KiB", count / 1_024),
        1_048_576..1_073_741_824 => format!("{} MiB", count / 1_048_576),
        _ => format!(
            "{}.{} GiB",
            count / 1_073_741_824,
            count % 1_073_741_824 * 10 / 1_073_741_824
        ),
    }
}

/// The time of day in UTC, `hh:mm:ss`; `?` for a time that no calendar has.
#[must_use]
pub fn clock(at_us: u64) -> String {
    i64::try_from(at_us)
        .ok()
        .and_then(|us| jiff::Timestamp::from_microsecond(us).ok())
        .map_or_else(
            || "?".to_owned(),
            |time| time.strftime("%H:%M:%S").to_string(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_cut_and_padded_by_columns() {
        assert_eq!(fit("数据中心", 8), "数据中心");
        assert_eq!(fit("数据中心", 6), "数据…");
        assert_eq!(width(&fit("数据中心", 7)), 7);
        assert_eq!(pad("主", 4), "主  ");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn the_locale_chooses_the_language() {
        let with = |name: &'static str, value: &'static str| {
            Language::from_locale(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(with("LANG", "zh_CN.UTF-8"), Language::Chinese);
        assert_eq!(with("LC_ALL", "zh_TW.UTF-8"), Language::Chinese);
        assert_eq!(with("LANG", "C.UTF-8"), Language::English);
        let both = |name: &str| match name {
            "LC_ALL" => Some(String::new()),
            "LANG" => Some("zh_CN.UTF-8".to_owned()),
            _ => None,
        };
        assert_eq!(Language::from_locale(both), Language::Chinese);
    }

    #[test]
    fn figures_are_told_in_fitting_units() {
        assert_eq!(age(950_000), "950 ms");
        assert_eq!(age(1_550_000), "1.5 s");
        assert_eq!(age(60_000_000), "60 s");
        assert_eq!(age(600_000_000), "10 min");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(milliseconds(1_249), "1.2 ms");
        assert_eq!(milliseconds(9_950), "10.0 ms");
        assert_eq!(clock(0), "00:00:00");
    }
}
