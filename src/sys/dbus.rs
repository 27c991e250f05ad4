//! D-Bus connections through libdbus, which is loaded when one is asked for.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;

/// The library's soname, and the Debian package that has it.
const LIBRARY: &str = "libdbus-1.so.3";
const PACKAGE: &str = "libdbus-1-3";
/// Where libdbus announces the end of a connection.
const LOCAL: &CStr = c"org.freedesktop.DBus.Local";
const DISCONNECTED: &CStr = c"Disconnected";

/// Which bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Bus {
    /// The user's session.
    Session = 0,
    /// The system's.
    System = 1,
}

/// `DBusError`.
#[repr(C)]
struct RawError {
    name: *const c_char,
    message: *const c_char,
    flags: c_uint,
    padding: *mut c_void,
}

type Handle = *mut c_void;

macro_rules! functions {
    ($($name:ident: $symbol:literal, fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The functions of libdbus in use.
        struct Functions {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl Functions {
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the signatures are those of dbus/dbus.h, version 1.
                unsafe { Ok(Self { $($name: *library.get($symbol)?,)* }) }
            }
        }
    };
}

functions! {
    error_init: b"dbus_error_init", fn(*mut RawError);
    error_free: b"dbus_error_free", fn(*mut RawError);
    bus_get: b"dbus_bus_get_private", fn(c_int, *mut RawError) -> Handle;
    open: b"dbus_connection_open_private", fn(*const c_char, *mut RawError) -> Handle;
    register: b"dbus_bus_register", fn(Handle, *mut RawError) -> c_uint;
    add_match: b"dbus_bus_add_match", fn(Handle, *const c_char, *mut RawError);
    set_exit: b"dbus_connection_set_exit_on_disconnect", fn(Handle, c_uint);
    set_sigpipe: b"dbus_connection_set_change_sigpipe", fn(c_uint);
    set_max_received: b"dbus_connection_set_max_received_size", fn(Handle, c_long);
    get_fd: b"dbus_connection_get_unix_fd", fn(Handle, *mut c_int) -> c_uint;
    read_write: b"dbus_connection_read_write", fn(Handle, c_int) -> c_uint;
    pop: b"dbus_connection_pop_message", fn(Handle) -> Handle;
    send: b"dbus_connection_send", fn(Handle, Handle, *mut u32) -> c_uint;
    flush: b"dbus_connection_flush", fn(Handle);
    close: b"dbus_connection_close", fn(Handle);
    unref: b"dbus_connection_unref", fn(Handle);
    is_signal: b"dbus_message_is_signal", fn(Handle, *const c_char, *const c_char) -> c_uint;
    marshal: b"dbus_message_marshal", fn(Handle, *mut *mut c_char, *mut c_int) -> c_uint;
    demarshal: b"dbus_message_demarshal", fn(*const c_char, c_int, *mut RawError) -> Handle;
    message_unref: b"dbus_message_unref", fn(Handle);
    free: b"dbus_free", fn(*mut c_void);
    threads: b"dbus_threads_init_default", fn() -> c_uint;
}

/// libdbus, loaded once and never unloaded.
fn libdbus() -> Result<&'static Functions, String> {
    static LOADED: OnceLock<Result<Functions, String>> = OnceLock::new();
    let load = || {
        let missing = |e| format!("{LIBRARY} is needed (Debian package {PACKAGE}): {e}");
        // SAFETY: libdbus has no initializers to fear.
        let library = unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(missing)?;
        let functions = Functions::of(&library).map_err(missing)?;
        std::mem::forget(library);
        // SAFETY: takes no arguments, may be called at any time.
        unsafe { (functions.threads)() };
        // SAFETY: takes a truth value. How the program treats SIGPIPE is its own affair.
        unsafe { (functions.set_sigpipe)(0) };
        Ok(functions)
    };
    LOADED.get_or_init(load).as_ref().map_err(String::clone)
}

/// Whether D-Bus connections can be made at all on this machine.
pub fn is_available() -> bool {
    libdbus().is_ok()
}

/// A private connection to a bus.
pub struct Connection {
    dbus: &'static Functions,
    handle: Handle,
    fd: RawFd,
}

// SAFETY: libdbus was told to lock its connections; nothing is bound to a thread.
unsafe impl Send for Connection {}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: libdbus keeps the descriptor open as long as the connection.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Connection {
    /// Connects to one of the two well-known buses.
    ///
    /// # Errors
    /// libdbus's words.
    pub fn to_bus(bus: Bus) -> Result<Self, String> {
        let dbus = libdbus()?;
        // SAFETY: a valid bus type and an error to fill.
        let handle = with_error(dbus, |e| unsafe { (dbus.bus_get)(bus as c_int, e) })?;
        Self::adopt(dbus, handle)
    }

    /// Connects to an address; [`Connection::register`] is still to be done.
    ///
    /// # Errors
    /// libdbus's words.
    pub fn open(address: &CStr) -> Result<Self, String> {
        let dbus = libdbus()?;
        // SAFETY: a C string and an error to fill.
        let handle = with_error(dbus, |e| unsafe { (dbus.open)(address.as_ptr(), e) })?;
        Self::adopt(dbus, handle)
    }

    fn adopt(dbus: &'static Functions, handle: Handle) -> Result<Self, String> {
        if handle.is_null() {
            return Err("out of memory".into());
        }
        let mut connection = Self { dbus, handle, fd: -1 };
        // SAFETY: an open connection. By default its end would be the process's.
        unsafe { (dbus.set_exit)(handle, 0) };
        // SAFETY: an open connection and an integer to fill.
        match unsafe { (dbus.get_fd)(handle, &mut connection.fd) } {
            0 => Err("the connection has no descriptor".into()),
            _ => Ok(connection),
        }
    }

    /// Introduces the connection to the bus it was opened to.
    ///
    /// # Errors
    /// libdbus's words.
    pub fn register(&self) -> Result<(), String> {
        // SAFETY: an open connection and an error to fill.
        with_error(self.dbus, |e| unsafe { (self.dbus.register)(self.handle, e) }).map(drop)
    }

    /// Asks the bus for the messages that a rule matches.
    ///
    /// # Errors
    /// libdbus's words.
    pub fn add_match(&self, rule: &CStr) -> Result<(), String> {
        // SAFETY: an open connection, a C string and an error to fill.
        with_error(self.dbus, |e| unsafe { (self.dbus.add_match)(self.handle, rule.as_ptr(), e) })
    }

    /// Limits what libdbus stores of messages not taken yet, in bytes.
    pub fn set_max_received(&self, bytes: i64) {
        // SAFETY: an open connection.
        unsafe { (self.dbus.set_max_received)(self.handle, bytes) };
    }

    /// The next message as it is on the wire, without waiting; `None` when there is none.
    ///
    /// # Errors
    /// When the connection is no longer there.
    pub fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<Option<()>, &'static str> {
        let Some(message) = self.pop()? else { return Ok(None) };
        if message.is_disconnected() {
            return Err("Disconnected");
        }
        message.bytes(take);
        Ok(Some(()))
    }

    fn pop(&mut self) -> Result<Option<Incoming>, &'static str> {
        let dbus = self.dbus;
        // SAFETY: an open connection.
        let queued = || unsafe { (dbus.pop)(self.handle) };
        let mut message = queued();
        if message.is_null() {
            // SAFETY: an open connection; 0 is not to wait.
            let open = unsafe { (dbus.read_write)(self.handle, 0) } != 0;
            message = queued();
            if message.is_null() && !open {
                return Err("Connection closed");
            }
        }
        // Lazily: libdbus ends the process when it is to give NULL back.
        Ok((!message.is_null()).then(|| Incoming { dbus, message }))
    }

    /// Sends a message given as it is on the wire.
    ///
    /// # Errors
    /// libdbus's words when it is not a message.
    pub fn send(&self, message: &[u8]) -> Result<(), String> {
        let len = c_int::try_from(message.len()).map_err(|_| "message too long".to_owned())?;
        // SAFETY: `len` readable bytes and an error to fill.
        let parsed = with_error(self.dbus, |e| unsafe {
            (self.dbus.demarshal)(message.as_ptr().cast(), len, e)
        })?;
        if parsed.is_null() {
            return Err("out of memory".into());
        }
        let message = Incoming { dbus: self.dbus, message: parsed };
        // SAFETY: an open connection and a message; the serial number is not asked for.
        unsafe {
            (self.dbus.send)(self.handle, message.message, ptr::null_mut());
            (self.dbus.flush)(self.handle);
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: ours alone, as it is private; not used any more.
        unsafe {
            (self.dbus.close)(self.handle);
            (self.dbus.unref)(self.handle);
        }
    }
}

/// A message that is given back when dropped.
struct Incoming {
    dbus: &'static Functions,
    message: Handle,
}

impl Incoming {
    fn is_disconnected(&self) -> bool {
        // SAFETY: a message and two C strings.
        unsafe { (self.dbus.is_signal)(self.message, LOCAL.as_ptr(), DISCONNECTED.as_ptr()) != 0 }
    }

    fn bytes(&self, take: &mut dyn FnMut(&[u8])) {
        let (mut bytes, mut len) = (ptr::null_mut(), 0);
        // SAFETY: a message, and two places to fill.
        let done = unsafe { (self.dbus.marshal)(self.message, &mut bytes, &mut len) } != 0;
        if !done {
            return;
        }
        let len = usize::try_from(len).unwrap_or(0);
        // SAFETY: libdbus gave so many bytes.
        take(unsafe { std::slice::from_raw_parts(bytes.cast(), len) });
        // SAFETY: libdbus's own memory, not used any more.
        unsafe { (self.dbus.free)(bytes.cast()) };
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // SAFETY: ours, and not used any more.
        unsafe { (self.dbus.message_unref)(self.message) };
    }
}

/// Runs `f` with an error to fill; its message when it was filled.
fn with_error<T>(dbus: &Functions, f: impl FnOnce(*mut RawError) -> T) -> Result<T, String> {
    let mut error =
        RawError { name: ptr::null(), message: ptr::null(), flags: 0, padding: ptr::null_mut() };
    // SAFETY: room for a DBusError.
    unsafe { (dbus.error_init)(&mut error) };
    let value = f(&mut error);
    if error.name.is_null() {
        return Ok(value);
    }
    let text = match error.message.is_null() {
        true => CString::default(),
        // SAFETY: an error that is set has a C string.
        false => unsafe { CStr::from_ptr(error.message) }.to_owned(),
    };
    // SAFETY: a filled error.
    unsafe { (dbus.error_free)(&mut error) };
    Err(text.to_string_lossy().into_owned())
}
