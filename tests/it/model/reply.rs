//! Answers, and what each says of the settings by the error tables.

use std::fmt;

use fastrand::Rng;

/// What an answer that arrives whole says of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Accepted,
    Refused,
    /// Refused, unless the request held several settings.
    RefusedAlone,
    Doubtful,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub header: (&'static str, &'static str),
    pub body: &'static [u8],
    pub truth: Truth,
}

const JSON: (&str, &str) = ("content-type", "application/json");
const PAGE: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const PLAIN: (&str, &str) = ("content-type", "text/plain");
const AT_ONCE: (&str, &str) = ("retry-after", "0");

#[rustfmt::skip] // one row per line
const REPLIES: &[Reply] = &[
    reply(200, JSON, b"", Truth::Accepted),
    reply(200, JSON, br#"{"returnCode":0,"returnDesc":"Success"}"#, Truth::Accepted),
    reply(200, JSON, br#"{"returnCode":"0","returnDesc":"Success"}"#, Truth::Accepted),
    reply(200, JSON, br#"{"code":200,"message":"ok"}"#, Truth::Accepted),
    reply(202, PLAIN, b"OK", Truth::Accepted),

    reply(200, JSON, br#"{"returnCode":111072083,"returnDesc":"LOCK_SHARE_FAILED"}"#, Truth::Doubtful),
    reply(200, JSON, br#"{"returnCode":"111072083","returnDesc":"LOCK_SHARE_FAILED"}"#, Truth::Doubtful),
    reply(200, JSON, br#"{"returnCode":111072083.0}"#, Truth::Doubtful),
    reply(200, JSON, b"\xef\xbb\xbf{\"returnCode\":111072083}", Truth::Doubtful),
    reply(200, JSON, b"{\"returnCode\":111072083,\"returnDesc\":\"\xb2\xd9\xd7\xf7\"}", Truth::Doubtful),
    reply(200, JSON, br#"{"returnCode":-7,"returnDesc":"a new one"}"#, Truth::Doubtful),
    reply(200, JSON, br#"{"code":401,"msg":"login first","success":false}"#, Truth::Doubtful),
    reply(200, JSON, br#"{"code":"MMC.111099998","message":"a new one"}"#, Truth::Doubtful),
    reply(200, JSON, br#"{"error_code":"MMC.111072005","error_msg":"CONF_NOT_STARTED"}"#, Truth::Refused),
    reply(200, PAGE, b"<html><body>Please log in</body></html>", Truth::Doubtful),
    reply(200, JSON, b"\n<!DOCTYPE html><html></html>", Truth::Doubtful),
    reply(200, GZIP, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", Truth::Doubtful),

    reply(400, JSON, br#"{"error_code":"MMC.111072005","error_msg":"CONF_NOT_STARTED"}"#, Truth::Refused),
    reply(400, JSON, br#"{"error_code":"MMC.111070120","error_msg":"REGION_DATA_NOT_FOUND"}"#, Truth::Refused),
    reply(400, JSON, br#"{"error_code":"MMC.111112005","error_msg":"x"}"#, Truth::RefusedAlone),
    reply(400, PAGE, b"<html><head><title>400 Bad Request</title></head></html>", Truth::Refused),
    reply(400, PLAIN, b"", Truth::Refused),
    reply(400, JSON, br#"{"error_code":"MMC.111072083","error_msg":"LOCK_SHARE_FAILED"}"#, Truth::Doubtful),
    reply(400, JSON, br#"{"error_code":"MMC.111072083"}"#, Truth::Doubtful),
    reply(400, JSON, b"{\"error_code\":\"MMC.111072083\",\"error_msg\":\"\xb2\xd9\xd7\xf7\"}", Truth::Doubtful),
    reply(400, JSON, br#"{"errors":[{"error_code":"MMC.111072083","error_msg":"x"}]}"#, Truth::Doubtful),
    reply(400, JSON, br#"{"error_code":"MMC.111072083","error_message":"x"}"#, Truth::Doubtful),
    reply(400, JSON, br#"{"code":"MMC.111072083","msg":"x"}"#, Truth::Doubtful),
    reply(400, JSON, br#"{"error_code":"MMC.111099998","error_msg":"a new one"}"#, Truth::Doubtful),
    reply(409, JSON, br#"{"error_code":"MMC.111099998","error_msg":"a new one"}"#, Truth::Doubtful),
    reply(400, GZIP, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", Truth::Doubtful),
    reply(400, JSON, br#"{"error_code":"MMC.11107"#, Truth::Doubtful),

    reply(302, ("location", "https://login.example/"), b"", Truth::Refused),
    reply(303, ("location", "/elsewhere"), b"", Truth::Doubtful),
    reply(401, JSON, b"", Truth::Refused),
    reply(403, JSON, br#"{"error_code":"MMC.111072070","error_msg":"GUEST_NO_PERMISSION_OPERATION"}"#, Truth::Refused),
    reply(404, JSON, br#"{"error_code":"APIG.0101","error_msg":"x"}"#, Truth::Refused),
    reply(405, PLAIN, b"", Truth::Refused),
    reply(408, PLAIN, b"", Truth::Doubtful),
    reply(409, PLAIN, b"", Truth::Refused),
    reply(412, PLAIN, b"no", Truth::Refused),
    reply(413, PAGE, b"<html></html>", Truth::Refused),
    reply(422, PLAIN, b"", Truth::Refused),
    reply(429, JSON, br#"{"error_code":"APIG.0308","error_msg":"x"}"#, Truth::Refused),
    reply(429, AT_ONCE, b"", Truth::Refused),
    reply(499, PLAIN, b"", Truth::Doubtful),
    reply(500, JSON, br#"{"error_code":"MMC.111070003","error_msg":"CONF_EXCEPTION"}"#, Truth::Doubtful),
    reply(500, PLAIN, b"", Truth::Doubtful),
    reply(501, PLAIN, b"", Truth::Refused),
    reply(502, PAGE, b"<html>502 Bad Gateway</html>", Truth::Doubtful),
    reply(503, PLAIN, b"", Truth::Doubtful),
    reply(503, AT_ONCE, b"upstream connect error", Truth::Doubtful),
    reply(504, JSON, br#"{"error_code":"APIG.0203","error_msg":"x"}"#, Truth::Doubtful),
];

pub const fn reply(
    status: u16,
    header: (&'static str, &'static str),
    body: &'static [u8],
    truth: Truth,
) -> Reply {
    Reply {
        status,
        header,
        body,
        truth,
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        self.truth == Truth::Accepted
    }

    /// What comes of the body where the rest is lost.
    pub fn half(&self) -> &'static [u8] {
        &self.body[..self.body.len() / 2]
    }

    /// Whether the change is refused even if the rest of the body is lost: by the status, or by a code
    /// that is there already.
    pub fn half_refuses(&self) -> bool {
        const CODE: usize = b"MMC.111072005".len();
        let half = self.half();
        let code = half.windows(4).position(|part| part == b"MMC.");
        let by_code = code.is_some_and(|at| half.get(at + CODE) == Some(&b'"'));
        match self.status {
            302 | 401 | 403 | 404 | 405 | 413 | 414 | 429 | 494 | 501 => true,
            _ => by_code && matches!(self.truth, Truth::Refused | Truth::RefusedAlone),
        }
    }

    pub fn any(random: &mut Rng) -> &'static Self {
        // The first five are successes, of which there would be few else.
        let among = if random.bool() { 5 } else { REPLIES.len() };
        &REPLIES[random.usize(..among)]
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = self.header;
        let body = self.body.escape_ascii();
        write!(f, "{} [{name}: {value}] {body}", self.status)
    }
}
