//! A static binary on glibc must not load the host's name service modules: where nsswitch.conf
//! names one (`resolve`, `myhostname`) of another glibc version, the process dies with SIGFPE.
//! musl has no such modules, and needs none of this.
#![expect(unsafe_code, reason = "glibc's own switch, which no crate offers")]

/// Looks hosts up in /etc/hosts and by DNS only, from now on. To be called before any lookup.
pub fn use_files_and_dns() {
    unsafe extern "C" {
        fn __nss_configure_lookup(
            database: *const std::ffi::c_char,
            services: *const std::ffi::c_char,
        ) -> std::ffi::c_int;
    }
    // SAFETY: both arguments are NUL-terminated and live for ever; glibc copies what it keeps, and
    // no other thread runs yet.
    unsafe {
        __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr());
    }
}
