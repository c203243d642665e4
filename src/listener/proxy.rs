//! Whom a connection is made for, as a trusted peer says ahead of it (PROXY protocol, version 2).
//!
//! The header is binary and says its own length, so exactly that much is read and not a byte of what
//! follows. Version 1, a line of text, is not taken: its length is known only when it has been read.

use std::io;
use std::net::IpAddr;

use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a header up to its length, and this included.
const FIXED: usize = 16;
/// Most bytes after that. Addresses take 36 at most (or 216, of Unix sockets), and what balancers
/// add is some hundred.
const REST_MAX: usize = 4096;

/// Reads the header; the address of whom the peer speaks for, or nothing if it speaks for itself.
///
/// # Errors
///
/// When there is none, or none of version 2.
pub(super) async fn read<S: AsyncRead + Unpin>(io: &mut S) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; FIXED];
    io.read_exact(&mut header).await?;
    let [.., high, low] = *header else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if !header.starts_with(PROTOCOL_PREFIX) || rest > REST_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    header.resize(FIXED + rest, 0);
    io.read_exact(header.get_mut(FIXED..).unwrap_or_default())
        .await?;
    let header = Header::try_from(&*header).map_err(|_| io::ErrorKind::InvalidData)?;
    if header.command == Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        Addresses::IPv4(stated) => Some(stated.source_address.into()),
        Addresses::IPv6(stated) => Some(IpAddr::from(stated.source_address).to_canonical()),
        // What came by something else has no address of ours; the peer's own counts.
        Addresses::Unix(_) | Addresses::Unspecified => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with this version and command, family, and what follows its length.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    async fn stated(bytes: &[u8]) -> Result<(Option<IpAddr>, usize), ()> {
        let mut io = bytes;
        let stated = read(&mut io).await.map_err(|_| ())?;
        Ok((stated, io.len()))
    }

    #[tokio::test]
    async fn a_header_is_read_and_nothing_of_what_follows() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 7;
        let with_more = [&v4[..], &[0x04, 0, 2, 1, 2]].concat();
        for (bytes, expected) in [
            (header(0x21, 0x11, &v4), Some("192.0.2.7")),
            (header(0x21, 0x11, &with_more), Some("192.0.2.7")),
            (header(0x21, 0x21, &v6), Some("2001:db8::7")),
            (header(0x20, 0x11, &v4), None),
            (header(0x20, 0x00, &[]), None),
            (header(0x21, 0x00, &[]), None),
        ] {
            let bytes = [&*bytes, b"GET /"].concat();
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(stated(&bytes).await, Ok((expected, 5)), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_of_version_2_is_refused() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let mut endless = header(0x21, 0x11, &v4);
        endless[14] = 0xff;
        for bytes in [
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\nGET / HTTP/1.1\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            header(0x11, 0x11, &v4),
            header(0x22, 0x11, &v4),
            header(0x21, 0x11, &v4[..4]),
            header(0x21, 0x91, &v4),
            header(0x21, 0x11, &v4)[..20].to_vec(),
            endless,
            Vec::new(),
        ] {
            assert_eq!(stated(&bytes).await, Err(()), "{bytes:?}");
        }
    }
}
