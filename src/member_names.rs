//! What the name of a member means in token files and token responses, above all which times it holds. Pure.
//!
//! Programs spell the same thing in many ways: `expires_at`, `expiresAt`, `ExpiresAt`, `.expires`,
//! `accessTokenExpiresAt`, `token_expiry`. So a name is taken apart: whose time it is, a word for the end
//! (`expires`, `expiry`, `expiration`, `valid_until`), and the form of the time.

/// What a name says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeMeaning {
    /// When something expires.
    End(Subject, Zone),
    /// How long something lives from its issuance.
    Lifetime(Subject, Unit),
    /// When the tokens were issued.
    Issued,
    /// When something was made: the tokens, or the record that holds them.
    Created,
    /// It looks like an expiry, but of what or in which form is not known.
    Unknown,
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    AccessToken,
    RefreshToken,
    IdToken,
    /// The access token while the server is out of order (Azure's `ext_expires_in`).
    Extended,
    /// The client's own registration or secret: nothing that a refresh changes.
    Client,
}

/// What a time without a zone means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Local,
    /// The name says so: `expires_at_utc`.
    Utc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The name does not say.
    Unstated,
    Seconds,
    Milliseconds,
}

/// The names of most members: known to say nothing about time.
const TIMELESS: [&str; 5] = ["access_token", "refresh_token", "token_type", "id_token", "scope"];

/// No name known here is longer.
const MAX_LENGTH: usize = 48;

/// A name without the marks between its words, in lower case. None if it cannot be one of those known here, which
/// have no digit but the 2 of `oauth2`: this keeps large files fast.
pub fn plain(name: &str) -> Option<String> {
    let is_fit = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' ' | b'2');
    if name.len() > MAX_LENGTH || !name.bytes().all(is_fit) {
        return None;
    }
    let mut plain = String::with_capacity(name.len());
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    letters.for_each(|letter| plain.push(letter.to_ascii_lowercase().into()));
    Some(plain)
}

/// None if the name says nothing about time.
pub fn meaning(name: &str) -> Option<TimeMeaning> {
    if TIMELESS.contains(&name) {
        return None;
    }
    let plain = plain(name)?;
    let (before, after) = match split_at_end_word(&plain) {
        Some(parts) => parts,
        None => return issuance(&plain),
    };
    if let Some(unit) = after.strip_prefix("in").and_then(unit) {
        return subject(before).map(|subject| TimeMeaning::Lifetime(subject, unit));
    }
    Some(match (subject(before), zone(after)) {
        (Some(subject), Some(zone)) => TimeMeaning::End(subject, zone),
        (Some(Subject::Client), None) => TimeMeaning::End(Subject::Client, Zone::Local),
        _ => TimeMeaning::Unknown,
    })
}

/// The parts before and after the word for the end.
fn split_at_end_word(plain: &str) -> Option<(&str, &str)> {
    // The longer of two that begin alike comes first.
    const WORDS: [&str; 9] =
        ["expiration", "expires", "expired", "expiry", "expire", "validuntil", "validtill", "validto", "notafter"];
    // Most names have none, and are passed through quickly.
    let places = plain.bytes().enumerate().filter(|(_, letter)| matches!(letter, b'e' | b'v' | b'n'));
    let found = places.filter_map(|(at, _)| Some((at, *WORDS.iter().find(|word| plain[at..].starts_with(**word))?)));
    if let Some((before, word, after)) = found.map(|(at, word)| (&plain[..at], word, &plain[at + word.len()..])).next()
    {
        // `expired` alone is a state, not a time.
        return (word != "expired" || !after.is_empty()).then_some((before, after));
    }
    let before = plain.strip_suffix("exp")?;
    subject(before).map(|_| (before, ""))
}

fn subject(before: &str) -> Option<Subject> {
    match before {
        "" | "access" | "token" | "accesstoken" | "auth" | "authtoken" | "oauth" | "oauthtoken" | "oauth2token"
        | "bearer" | "bearertoken" => Some(Subject::AccessToken),
        "refresh" | "refreshtoken" | "xrefreshtoken" | "xrefresh" | "oauthrefreshtoken" => Some(Subject::RefreshToken),
        "id" | "idtoken" => Some(Subject::IdToken),
        "ext" | "extended" => Some(Subject::Extended),
        "client" | "clientid" | "clientsecret" | "secret" | "registration" => Some(Subject::Client),
        _ => None,
    }
}

/// `after` means a point in time if it consists only of these words.
fn zone(after: &str) -> Option<Zone> {
    const WORDS: [&str; 16] = [
        "datetime",
        "date",
        "timestamp",
        "time",
        "at",
        "on",
        "milliseconds",
        "millis",
        "ms",
        "seconds",
        "sec",
        "epoch",
        "unix",
        "utc",
        "gmt",
        "local",
    ];
    let mut rest = after;
    while let Some(shorter) = WORDS.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = shorter;
    }
    let zone = if after.contains("utc") || after.contains("gmt") { Zone::Utc } else { Zone::Local };
    rest.is_empty().then_some(zone)
}

fn unit(after: &str) -> Option<Unit> {
    match after {
        "" => Some(Unit::Unstated),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(Unit::Seconds),
        "ms" | "msec" | "millis" | "milliseconds" => Some(Unit::Milliseconds),
        _ => None,
    }
}

/// ortie, Salesforce and ASP.NET; Twurple; Docusign's Postman collection; MSAL; a JWT's claim.
const ISSUED: [&str; 19] = [
    "issuedat",
    "issuedutc",
    "issued",
    "issuedon",
    "issuetime",
    "obtainedat",
    "obtainmenttimestamp",
    "receivedat",
    "fetchedat",
    "acquiredat",
    "retrievedat",
    "cachedat",
    "generatedat",
    "lastrefresh",
    "lastrefreshed",
    "lastrefreshedat",
    "lastrefreshat",
    "refreshedat",
    "iat",
];

/// Google's PHP library; Doorkeeper.
const CREATED: [&str; 4] = ["created", "createdat", "createdon", "creationtime"];

fn issuance(plain: &str) -> Option<TimeMeaning> {
    let own = plain.strip_prefix("access").unwrap_or(plain);
    let own = own.strip_prefix("token").unwrap_or(own);
    let is_created = || CREATED.contains(&own).then_some(TimeMeaning::Created);
    ISSUED.contains(&own).then_some(TimeMeaning::Issued).or_else(is_created)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_apart() {
        use Subject::{AccessToken, Client, Extended, IdToken, RefreshToken};
        use TimeMeaning::{Created, End, Issued, Lifetime, Unknown};
        let end = |subject| Some(End(subject, Zone::Local));
        for (name, wanted) in [
            ("expires_at", end(AccessToken)),
            ("expires", end(AccessToken)),
            ("expiry", end(AccessToken)),
            ("expires_on", end(AccessToken)),
            ("expiresAt", end(AccessToken)),
            ("expiresOn", end(AccessToken)),
            ("ExpiresAt", end(AccessToken)),
            ("expires-at", end(AccessToken)),
            (".expires", end(AccessToken)),
            ("access_token_expires_at", end(AccessToken)),
            ("accessTokenExpiresAt", end(AccessToken)),
            ("access_token_expiration", end(AccessToken)),
            ("AccessTokenExpirationDate", end(AccessToken)),
            ("token_expiry", end(AccessToken)),
            ("tokenExpirationTime", end(AccessToken)),
            ("expiry_date", end(AccessToken)),
            ("expiryDate", end(AccessToken)),
            ("expire_at", end(AccessToken)),
            ("expired_at", end(AccessToken)),
            ("expires_at_ms", end(AccessToken)),
            ("expirationTimestamp", end(AccessToken)),
            ("oauth2_token_expires_at", end(AccessToken)),
            ("valid_until", end(AccessToken)),
            ("notAfter", end(AccessToken)),
            ("exp", end(AccessToken)),
            ("expires_at_utc", Some(End(AccessToken, Zone::Utc))),
            ("refresh_token_expires_at", end(RefreshToken)),
            ("refreshTokenExpiresAt", end(RefreshToken)),
            ("refresh_expires_at", end(RefreshToken)),
            ("refreshTokenExpiry", end(RefreshToken)),
            ("x_refresh_token_expires_at", end(RefreshToken)),
            ("id_token_expires_at", end(IdToken)),
            ("ext_expires_on", end(Extended)),
            ("extended_expires_on", end(Extended)),
            ("client_secret_expires_at", end(Client)),
            ("registrationExpiresAt", end(Client)),
            ("expires_in", Some(Lifetime(AccessToken, Unit::Unstated))),
            ("expiresIn", Some(Lifetime(AccessToken, Unit::Unstated))),
            ("expires_in_sec", Some(Lifetime(AccessToken, Unit::Seconds))),
            ("expires_in_ms", Some(Lifetime(AccessToken, Unit::Milliseconds))),
            ("refresh_token_expires_in", Some(Lifetime(RefreshToken, Unit::Unstated))),
            ("refresh_expires_in", Some(Lifetime(RefreshToken, Unit::Unstated))),
            ("x_refresh_token_expires_in", Some(Lifetime(RefreshToken, Unit::Unstated))),
            ("ext_expires_in", Some(Lifetime(Extended, Unit::Unstated))),
            ("created", Some(Created)),
            ("created_at", Some(Created)),
            ("issued_at", Some(Issued)),
            (".issued", Some(Issued)),
            ("obtainmentTimestamp", Some(Issued)),
            ("access_token_received_at", Some(Issued)),
            ("session_expires_at", Some(Unknown)),
            ("expiry_policy", Some(Unknown)),
            ("consent_expires_in", None),
            ("regexp", None),
            ("expired", None),
            ("is_expired", None),
            ("access_token", None),
            ("refresh_token", None),
            ("scope", None),
            ("member-00001", None),
            ("", None),
        ] {
            assert_eq!(meaning(name), wanted, "{name}");
        }
    }
}
