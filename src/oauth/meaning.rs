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
const EXCEPTIONS: [(&str, &str, Meaning); 9] = [
    // Docusign reports faults of the client inside invalid_grant.
    ("invalidgrant", "unauthorized_client", Configuration),
    ("invalidgrant", "expired_client_token", Configuration),
    ("invalidgrant", "unsupported_grant_type", Configuration),
    // Salesforce: an address that the organization shuts out.
    ("invalidgrant", "ip restricted", Configuration),
    // Microsoft Entra: a client that repeats itself in a loop.
    ("invalidgrant", "aadsts50196", TooOften),
    // Microsoft Entra: no such client, or a wrong secret.
    ("invalidgrant", "aadsts700016", Configuration),
    ("invalidgrant", "aadsts7000215", Configuration),
    // Google: Workspace asks for a new login (rapt).
    ("invalidgrant", "invalid_rapt", Reauthorize),
    // X (Twitter): the refresh token.
    ("invalidrequest", "value passed for the token was invalid", Reauthorize),
];

/// Codes without case and separators.
const CODES: [(&str, Meaning); 81] = [
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
    // Atlassian
    ("authorizationexpired", Reauthorize),
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
    // Firebase
    ("usernotfound", Reauthorize),
    ("userdisabled", Reauthorize),
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
    // Ory Hydra
    ("tokeninactive", Reauthorize),
    // PayPal
    ("invalidrefreshtoken", Reauthorize),
    ("authenticationfailure", Configuration),
    ("ratelimitreached", TooOften),
    // Salesforce
    ("invalidclientid", Configuration),
    ("invalidclientcredentials", Configuration),
    ("inactiveuser", Reauthorize),
    ("inactiveorg", Configuration),
    ("invalidsessionid", Reauthorize),
    // Shopify
    ("invalidsubjecttoken", Reauthorize),
    // Slack
    ("tokenexpired", Reauthorize),
    ("tokenrevoked", Reauthorize),
    ("accountinactive", Reauthorize),
    ("ratelimited", TooOften),
    ("teamaddedtoorg", TryLater),
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

/// What descriptions say of an invalid token: words, or their stems.
const INVALID_TOKEN_WORDS: [&str; 12] = [
    "invalid",
    "illegal",
    "expire",
    "revoke",
    "alreadyused",
    "notfound",
    "doesnotexist",
    "notexist",
    "notvalid",
    "nolonger",
    "inactive",
    "blacklisted",
];

/// What they say, in addition, of what they call a refresh token.
const INVALID_REFRESH_TOKEN_WORDS: [&str; 21] = [
    "reused",
    "beenused",
    "alreadyredeemed",
    "couldnotfind",
    "nosuch",
    "doesntexist",
    "notactive",
    "unknown",
    "malformed",
    "consumed",
    "incorrect",
    "wrongrefreshtoken",
    "notrecognized",
    "notmatch",
    "wasnotissued",
    "deleted",
    "evicted",
    "rejected",
    "decrypt",
    "authenticationerror",
    "denylisted",
];

/// What descriptions say of a refresh token that was not sent.
const MISSING_TOKEN_WORDS: [&str; 6] =
    ["missing", "required", "notprovided", "notpresent", "mustnotbeempty", "notfoundinrequest"];

/// What stands before or behind "token" if it is another one, or none at all.
const OTHER_TOKENS: [&str; 12] = [
    "accesstoken",
    "apitoken",
    "assertion",
    "authorizationheader",
    "bearertoken",
    "client",
    "csrf",
    "idtoken",
    "securitytoken",
    "tokenendpoint",
    "tokentype",
    "unexpectedtoken",
];

/// What descriptions say if somebody must log in again, without a word of the token.
const LOG_IN_AGAIN: [&str; 7] = [
    "jwtexpired",
    "loginagain",
    "signinagain",
    "sessionterminated",
    "sessionhasexpired",
    "grantexpired",
    "granthasexpired",
];

/// What descriptions say to a client that sends too often or too early; the second is in Docusign's codes.
const TOO_OFTEN: [&str; 16] = [
    "ratelimit",
    "apiinvocationlimit",
    "rateexceeded",
    "requestlimit",
    "limitreach",
    "exceedsthelimit",
    "toomany",
    "throttl",
    "tooearly",
    "tokennotexpired",
    "stillvalid",
    "tryagainlater",
    "quota",
    "frequen",
    "qpslimit",
    "slowdown",
];

/// What descriptions say if another request is under way, or the server cannot act now. The last one is Microsoft Entra's,
/// for a directory that is busy.
const TRY_LATER: [&str; 7] = [
    "alreadybeingprocessed",
    "alreadyinprogress",
    "concurrent",
    "retryyourrequest",
    "temporarilyunavailable",
    "transient",
    "aadsts90033",
];

/// What descriptions say if the server failed.
const FAILED: [&str; 2] = ["systemerror", "internalservererror"];

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
        let in_table = |code: &String| CODES.iter().find(|(known, _)| known == code);
        // "Token expired": a description may be a code, too.
        let all: Vec<String> = codes.into_iter().chain(words.iter().map(|words| letters_and_digits(words))).collect();
        let said = all.iter().map(|text| Self::of_words(text)).find(|meaning| *meaning != Self::Unknown);
        match (all.iter().find_map(in_table), said) {
            // A general code says less than a description of what is wrong, and for how long.
            (Some(("invalidgrant" | "invalidtoken", _)), Some(said @ (TooOften | TryLater | Configuration))) => said,
            (Some(("unauthorizedclient" | "servererror", _)), Some(Reauthorize)) => Reauthorize,
            (Some((_, meaning)), _) => *meaning,
            (None, said) => said.unwrap_or(Self::Unknown),
        }
    }

    /// Of one text without case and separators.
    fn of_words(text: &str) -> Self {
        // The name of the grant is not the token, and a lifetime has not expired.
        let names = ["granttyperefreshtoken", "refreshtokengrant", "expiresin"];
        let text = names.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
        let has_any = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let names_refresh_token = text.contains("refreshtoken");
        let names_token = names_refresh_token || text.contains("token") && !has_any(&OTHER_TOKENS);
        let is_invalid = names_token && has_any(&INVALID_TOKEN_WORDS)
            || names_refresh_token && (has_any(&INVALID_REFRESH_TOKEN_WORDS));
        match () {
            () if has_any(&TOO_OFTEN) => TooOften,
            () if has_any(&TRY_LATER) => TryLater,
            () if is_invalid && !has_any(&MISSING_TOKEN_WORDS) => Reauthorize,
            () if has_any(&["clientsecret", "clientid", "clientcredentials", "clientassertion"]) => Configuration,
            () if has_any(&LOG_IN_AGAIN) => Reauthorize,
            () if has_any(&FAILED) => Failed,
            () => Self::Unknown,
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
            // Atlassian, Schwab, Laravel Passport, Huawei, Ring, Django REST framework, LinkedIn, Salesforce
            ("unauthorized_client", "refresh_token is invalid", Reauthorize),
            (
                "unsupported_token_type",
                "Exception while authenticating refresh token: refresh_token_authentication_error",
                Reauthorize,
            ),
            ("invalid_request", "Cannot decrypt the refresh token", Reauthorize),
            ("invalid_request", "the refresh_token has been revoke", Reauthorize),
            ("access_denied", "token is invalid or does not exists", Reauthorize),
            ("token_not_valid", "Token is invalid or expired", Reauthorize),
            ("", "Token is blacklisted", Reauthorize),
            ("", "The token used in the request has been revoked by the user", Reauthorize),
            ("INVALID_SESSION_ID", "Session expired or invalid", Reauthorize),
            ("server_error", "The refresh token is invalid", Reauthorize),
            ("", "Session terminated, sign in again", Reauthorize),
            ("", "Something went wrong with the refresh token", Unknown),
            // Other tokens, and none
            ("", "The access token is invalid", Unknown),
            ("", "Unexpected token < in JSON is not valid", Unknown),
            ("", "Token endpoint not found", Unknown),
            ("invalid_request", "Invalid grant_type: refresh_token", Unknown),
            ("invalid_request", "refresh_token not found in request", Unknown),
            ("invalid_token", "The client assertion has expired", Configuration),
            ("invalid_grant", "The specified client_secret does not match", Configuration),
            // hh.ru, Salesforce, WeChat, Feishu, Azure API Management, Facebook
            ("invalid_grant", "token not expired", TooOften),
            ("invalid_grant", "rate exceeded", TooOften),
            ("invalid_grant", "Too many requests. Please try again later.", TooOften),
            ("invalid_grant", "Token refresh already in progress", TryLater),
            ("invalid_grant", "Service temporarily unavailable", TryLater),
            ("", "reach max api daily quota limit", TooOften),
            ("", "request trigger frequency limit", TooOften),
            ("", "Out of call volume quota.", TooOften),
            ("", "Application request limit reached", TooOften),
            ("unknown_error", "Please retry your request later", TryLater),
            ("", "system error", Failed),
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
