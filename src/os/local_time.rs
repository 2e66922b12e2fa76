//! This machine's local time: how far it is from UTC at a given instant.

#![expect(unsafe_code, reason = "std knows no time zones")]

/// In seconds, east of UTC positive. UTC where the system can't tell.
#[cfg(unix)]
#[cfg_attr(target_pointer_width = "64", expect(clippy::useless_conversion, reason = "32-bit systems have other types"))]
pub fn offset_at(seconds_since_epoch: i64) -> i64 {
    // 32-bit systems may count no further than 2038.
    let time = seconds_since_epoch.try_into().unwrap_or_default();
    // SAFETY: a `tm` is plain numbers and a pointer, which may be null; localtime_r writes nothing else.
    unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&time, &mut local).is_null() { 0 } else { i64::from(local.tm_gmtoff) }
    }
}

/// In seconds, east of UTC positive. UTC where the system can't tell.
#[cfg(windows)]
pub fn offset_at(seconds_since_epoch: i64) -> i64 {
    use windows_sys::Win32::Foundation::{FILETIME, SYSTEMTIME};
    use windows_sys::Win32::System::Time::{
        FileTimeToSystemTime, SystemTimeToFileTime, SystemTimeToTzSpecificLocalTime,
    };

    /// Windows counts tenths of microseconds, from 1601.
    const TICKS: i64 = 10_000_000;
    const BEFORE_1970: i64 = 11_644_473_600;
    let Ok(ticks) = u64::try_from((seconds_since_epoch + BEFORE_1970).saturating_mul(TICKS)) else {
        return 0;
    };
    let utc = FILETIME { dwLowDateTime: ticks as u32, dwHighDateTime: (ticks >> 32) as u32 };
    let (mut utc_parts, mut local_parts, mut local) = (SYSTEMTIME::default(), SYSTEMTIME::default(), utc);
    // SAFETY: each pointer is to a value of its own that lives through the calls; null is this machine's zone.
    let is_told = unsafe {
        FileTimeToSystemTime(&utc, &mut utc_parts) != 0
            && SystemTimeToTzSpecificLocalTime(std::ptr::null(), &utc_parts, &mut local_parts) != 0
            && SystemTimeToFileTime(&local_parts, &mut local) != 0
    };
    let local_ticks = (u64::from(local.dwHighDateTime) << 32) | u64::from(local.dwLowDateTime);
    // FileTimeToSystemTime cuts what is below a millisecond; there is nothing.
    if is_told { (local_ticks as i64 - ticks as i64) / TICKS } else { 0 }
}
