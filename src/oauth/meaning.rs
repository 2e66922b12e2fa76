//! What an error response means: who must act. One table of codes, each with its source.
//!
//! RFC 6749 has six codes. Servers have hundreds, in any case and with any separator, and many say the
//! decisive word only in the description. So the code is looked up first; if it says too little, or is in no table,
//! the description decides, by what it says about the refresh token or about too many requests.

/// Who must act on an error response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The refresh token is invalid: somebody must log in again.
    Reauthorize,
    /// Client, secret, environment or request are wrong; the refresh token was not checked.
    Configuration,
    /// Another request with the same token is under way, or the server cannot act now: try again.
    TryLater,
    /// The server failed, and nobody knows what it did before.
    Failed,
    /// Too many requests, or this one was too early: trying again at once makes it worse.
    TooOften,
    /// An error that is in no table.
    Unknown,
}

use Meaning::{Configuration, Failed, Reauthorize, TooOften, TryLater};

/// A code and a part of the description that together mean something else than the code alone.
const EXCEPTIONS: [(&str, &str, Meaning); 13] = [
    // Docusign reports faults of the client inside invalid_grant.
    ("invalidgrant", "unauthorized_client", Configuration),
    ("invalidgrant", "expired_client_token", Configuration),
    ("invalidgrant", "unsupported_grant_type", Configuration),
    // Salesforce: one of two requests at once; too many of them; an address that the organization shuts out.
    ("invalidgrant", "already being processed", TryLater),
    ("invalidgrant", "rate exceeded", TooOften),
    ("invalidgrant", "ip restricted", Configuration),
    ("unknownerror", "retry your request", TryLater),
    // Microsoft Entra: a client that repeats itself in a loop; a directory that is busy.
    ("invalidgrant", "aadsts50196", TooOften),
    ("invalidgrant", "aadsts90033", TryLater),
    // Microsoft Entra: no such client, or a wrong secret.
    ("invalidgrant", "aadsts700016", Configuration),
    ("invalidgrant", "aadsts7000215", Configuration),
    // Google: Workspace asks for a new login (rapt).
    ("invalidgrant", "invalid_rapt", Reauthorize),
    // X (Twitter): the refresh token.
    ("invalidrequest", "value passed for the token was invalid", Reauthorize),
];

/// Codes without case and separators.
const CODES: [(&str, Meaning); 75] = [
    // RFC 6749, section 5.2
    ("invalidgrant", Reauthorize),
    ("invalidclient", Configuration),
    ("unauthorizedclient", Configuration),
    ("unsupportedgranttype", Configuration),
    ("invalidscope", Configuration),
    // RFC 6749, section 4.1.2.1: codes of the authorization endpoint, which some send from here
    ("temporarilyunavailable", TryLater),
    ("servererror", Failed),
    // In the words of RFC 9110, section 15.6.1
    ("internalservererror", Failed),
    // RFC 6750, section 3.1, in the token endpoint of Spring Security: the refresh token
    ("invalidtoken", Reauthorize),
    // RFC 8628, section 3.5
    ("slowdown", TooOften),
    ("expiredtoken", Reauthorize),
    // RFC 8707
    ("invalidtarget", Configuration),
    // RFC 9700 and OpenID Connect Core, section 3.1.2.6
    ("interactionrequired", Reauthorize),
    ("loginrequired", Reauthorize),
    ("consentrequired", Reauthorize),
    ("accountselectionrequired", Reauthorize),
    // Auth0
    ("mfarequired", Reauthorize),
    ("toomanyattempts", TooOften),
    // AWS Cognito and IAM Identity Center
    ("invalidgrantexception", Reauthorize),
    ("expiredtokenexception", Reauthorize),
    ("invalidclientexception", Configuration),
    ("unauthorizedclientexception", Configuration),
    ("toomanyrequestsexception", TooOften),
    ("limitexceededexception", TooOften),
    ("slowdownexception", TooOften),
    ("internalserverexception", Failed),
    // GitHub
    ("badrefreshtoken", Reauthorize),
    ("incorrectclientcredentials", Configuration),
    // Google
    ("deletedclient", Configuration),
    ("disabledclient", Configuration),
    ("orginternal", Configuration),
    ("adminpolicyenforced", Configuration),
    ("resourceexhausted", TooOften),
    ("unavailable", TryLater),
    ("ratelimitexceeded", TooOften),
    ("userratelimitexceeded", TooOften),
    ("quotaexceeded", TooOften),
    // HubSpot: BAD_REFRESH_TOKEN is above
    ("badclientid", Configuration),
    ("badclientsecret", Configuration),
    ("ratelimits", TooOften),
    // LINE, Kakao, Naver, WeChat
    ("koe319", Reauthorize),
    ("koe322", Reauthorize),
    ("koe010", Configuration),
    // Okta
    ("e0000011", Reauthorize),
    ("e0000047", TooOften),
    ("e0000006", Configuration),
    // OpenAI
    ("refreshtokenexpired", Reauthorize),
    ("refreshtokenreused", Reauthorize),
    ("refreshtokeninvalidated", Reauthorize),
    // PayPal
    ("invalidrefreshtoken", Reauthorize),
    ("authenticationfailure", Configuration),
    ("ratelimitreached", TooOften),
    // Salesforce
    ("invalidclientid", Configuration),
    ("invalidclientcredentials", Configuration),
    ("inactiveuser", Reauthorize),
    ("inactiveorg", Configuration),
    // Shopify
    ("invalidsubjecttoken", Reauthorize),
    // Slack
    ("tokenexpired", Reauthorize),
    ("tokenrevoked", Reauthorize),
    ("accountinactive", Reauthorize),
    ("ratelimited", TooOften),
    ("serviceunavailable", TryLater),
    ("internalerror", Failed),
    ("requesttimeout", Failed),
    ("fatalerror", Failed),
    // Supabase
    ("refreshtokennotfound", Reauthorize),
    ("refreshtokenalreadyused", Reauthorize),
    ("sessionexpired", Reauthorize),
    ("sessionnotfound", Reauthorize),
    ("overrequestratelimit", TooOften),
    ("userbanned", Reauthorize),
    // Zoho: "Access Denied" with this space is its throttle, access_denied is not
    ("invalidcode", Reauthorize),
    ("invalidclientsecret", Configuration),
    ("toomanyrequests", TooOften),
    ("throttled", TooOften),
];

/// What descriptions say of an invalid refresh token.
const INVALID_TOKEN_WORDS: [&str; 23] = [
    "invalid",
    "expired",
    "revoked",
    "reused",
    "alreadyused",
    "alreadybeenused",
    "alreadyredeemed",
    "notfound",
    "doesnotexist",
    "doesntexist",
    "notexist",
    "notvalid",
    "nolongervalid",
    "notactive",
    "inactive",
    "unknown",
    "malformed",
    "consumed",
    "incorrect",
    "notrecognized",
    "wasnotissued",
    "blacklisted",
    "denylisted",
];

/// What descriptions say of a refresh token that was not sent.
const MISSING_TOKEN_WORDS: [&str; 5] = ["missing", "required", "notprovided", "notpresent", "mustnotbeempty"];

/// What descriptions say to a client that sends too often or too early; the second is in Docusign's codes.
const TOO_OFTEN: [&str; 9] = [
    "ratelimit",
    "apiinvocationlimit",
    "toomany",
    "throttl",
    "tooearly",
    "tokennotexpired",
    "tryagainlater",
    "quotaexceeded",
    "slowdown",
];

impl Meaning {
    /// The meaning of all codes and descriptions of an error response.
    pub fn of(codes: &[String], words: &[String]) -> Self {
        // Zoho (see the table).
        if codes.iter().any(|code| code == "Access Denied") {
            return TryLater;
        }
        let all_words = words.join(" ").to_ascii_lowercase();
        let codes: Vec<String> = codes.iter().map(|code| letters_and_digits(code)).collect();
        let is_exception = |(code, part, _): &&(&str, &str, Self)| {
            codes.iter().any(|known| known == code)
                && (all_words.contains(part) || codes.contains(&letters_and_digits(part)))
        };
        if let Some((.., meaning)) = EXCEPTIONS.iter().find(is_exception) {
            return *meaning;
        }
        let in_table = |code: &String| CODES.iter().find(|(known, _)| known == code).map(|(_, meaning)| *meaning);
        // "Token expired": a description may be a code, too.
        let all: Vec<String> = codes.into_iter().chain(words.iter().map(|words| letters_and_digits(words))).collect();
        if let Some(meaning) = all.iter().find_map(in_table) {
            return meaning;
        }
        all.iter().map(|text| Self::of_words(text)).find(|meaning| *meaning != Self::Unknown).unwrap_or(Self::Unknown)
    }

    /// Of one text without case and separators.
    fn of_words(text: &str) -> Self {
        if TOO_OFTEN.iter().any(|word| text.contains(word)) {
            return TooOften;
        }
        let names_refresh_token =
            text.contains("refreshtoken") && !MISSING_TOKEN_WORDS.iter().any(|word| text.contains(word));
        if names_refresh_token && INVALID_TOKEN_WORDS.iter().any(|word| text.contains(word)) {
            return Reauthorize;
        }
        let names_client = ["clientsecret", "clientid", "clientcredentials"].iter().any(|name| text.contains(name));
        match names_client {
            true => Configuration,
            false => Self::Unknown,
        }
    }
}

/// A text without case and separators: BAD_REFRESH_TOKEN, badRefreshToken and "bad refresh token" are one.
pub fn letters_and_digits(text: &str) -> String {
    let mut letters_and_digits = String::with_capacity(text.len());
    letters(text).for_each(|letter| letters_and_digits.push(letter.into()));
    letters_and_digits
}

/// Whether two texts differ in case and separators alone.
pub fn is_same_apart_from_marks(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

fn letters(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::Meaning::Unknown;
    use super::*;

    #[test]
    fn judges_refusals() {
        for (code, words, meaning) in [
            ("invalid_grant", "", Reauthorize),
            ("invalid_grant", "expired_client_token", Configuration),
            ("invalid_grant", "unauthorized_client", Configuration),
            ("invalid_grant", "token request is already being processed", TryLater),
            ("invalid_grant", "AADSTS50196: The server terminated an operation", TooOften),
            ("invalid_grant", "AADSTS700082: The refresh token has expired", Reauthorize),
            ("interaction_required", "", Reauthorize),
            ("bad_refresh_token", "", Reauthorize),
            ("BAD_REFRESH_TOKEN", "", Reauthorize),
            ("invalid_client", "Invalid refresh token", Configuration),
            ("invalid_request", "The refresh token is invalid, expired or revoked", Reauthorize),
            ("invalid_request", "Missing refresh token parameter.", Unknown),
            ("access_denied", "Rate limit exceeded: access_token not expired", TooOften),
            ("Access Denied", "", TryLater),
            ("access_denied", "", Unknown),
            ("NotAuthorizedException", "Refresh Token has been revoked", Reauthorize),
            ("", "Invalid client secret", Configuration),
            ("anything_else", "", Unknown),
            ("temporarily_unavailable", "", TryLater),
            ("server_error", "", Failed),
            ("internal_server_error", "", Failed),
            ("", "Internal error", Failed),
            ("", "Token expired", Reauthorize),
            ("invalid_request", "Value passed for the token was invalid.", Reauthorize),
            ("HOURLY_APIINVOCATION_LIMIT_EXCEEDED", "", TooOften),
            ("BURST_APIINVOCATION_LIMIT_EXCEEDED", "", TooOften),
        ] {
            assert_eq!(Meaning::of(&[code.to_owned()], &[words.to_owned()]), meaning, "{code} {words}");
        }
    }

    #[test]
    fn every_code_stands_once_as_it_is_looked_up() {
        for (at, (code, _)) in CODES.iter().enumerate() {
            assert_eq!(letters_and_digits(code), *code);
            assert!(CODES[..at].iter().all(|(other, _)| other != code), "{code} stands twice");
        }
    }
}
