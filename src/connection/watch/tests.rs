//! Who keeps us waiting is let go, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use tokio_util::sync::CancellationToken;

use super::*;

fn watch() -> Rc<Watch> {
    let limits = ListenerLimits {
        header_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        write_idle: Duration::from_secs(60),
        ..ListenerLimits::default()
    };
    Watch::new(&limits, Line::new(CancellationToken::new()), None)
}

async fn overdue(watch: &Watch) -> (Overdue, u64) {
    let started = Instant::now();
    let what = watch.overdue().await;
    (what, started.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn what_arrived_behind_a_request_begins_the_next_head() {
    const HEAD: &str = "GET / HTTP/1.1\r\n\r\n";
    for (parts, then, expected) in [
        ([HEAD, ""], "", (Overdue::Request, 75)),
        (["GET / HTTP/1.1\n\n", ""], "", (Overdue::Request, 75)),
        (["GET / HTTP/1.1\r\n", "\r\n"], "", (Overdue::Request, 75)),
        (["GET / HTTP/1.1\r\n\r", "\n"], "", (Overdue::Request, 75)),
        (["GET / HTTP/1.1\r\n\r\nG", ""], "", (Overdue::Head, 10)),
        ([HEAD, ""], "G", (Overdue::Head, 10)),
    ] {
        let watch = watch();
        for part in parts {
            watch.saw(part.as_bytes());
        }
        watch.begins(false);
        if !then.is_empty() {
            watch.saw(then.as_bytes());
        }
        watch.ends();
        assert_eq!(overdue(&watch).await, expected, "{parts:?} {then:?}");
    }
}

/// A18.
#[tokio::test(start_paused = true)]
async fn a_fragment_is_seen_in_a_request_line_and_nowhere_else() {
    for (head, expected) in [
        ("GET /a#b HTTP/1.1\r\nX: 1\r\n\r\n", true),
        ("\r\nGET /a# HTTP/1.1\r\n\r\n", true),
        ("GET /a?#", true),
        ("GET /a HTTP/1.1\r\nX: #\r\n\r\n#", false),
        ("GET /a%23 HTTP/1.1\r\n\r\n", false),
    ] {
        let watch = watch();
        watch.saw(head.as_bytes());
        assert_eq!(watch.had_fragment(), expected, "{head:?}");
        assert!(!watch.had_fragment(), "asked once");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_hold_to_the_second_whenever_they_begin() {
    let watch = watch();
    assert_eq!(overdue(&watch).await, (Overdue::Request, 10));
    watch.begins(true);
    let later = async {
        tokio::time::sleep(Duration::from_secs(33)).await;
        watch.tried(false);
        watch.tried(false);
        tokio::time::sleep(Duration::from_secs(59)).await;
        watch.tried(true);
        tokio::time::sleep(Duration::from_secs(1)).await;
        watch.ends();
        watch.saw(b"GET");
        tokio::time::sleep(Duration::from_secs(9)).await;
        watch.saw(b" ");
    };
    let (what, ()) = tokio::join!(overdue(&watch), later);
    assert_eq!(what, (Overdue::Head, 33 + 59 + 1 + 10));
}

#[tokio::test(start_paused = true)]
async fn a_head_somebody_has_looked_at_is_not_given_its_time_again() {
    let first = Instant::now();
    let limits = ListenerLimits {
        header_timeout: Duration::from_secs(10),
        ..ListenerLimits::default()
    };
    tokio::time::advance(Duration::from_secs(7)).await;
    let watch = Watch::new(&limits, Line::new(CancellationToken::new()), Some(first));
    watch.saw(b"P");
    assert_eq!(overdue(&watch).await, (Overdue::Head, 3));
}

/// The time of the first byte is that of the first head, whole or not, and of no later one.
#[tokio::test(start_paused = true)]
async fn a_later_head_has_a_time_of_its_own() {
    let limits = ListenerLimits {
        header_timeout: Duration::from_secs(10),
        ..ListenerLimits::default()
    };
    let first = Some(Instant::now());
    let watch = Watch::new(&limits, Line::new(CancellationToken::new()), first);
    watch.saw(b"GET / HTTP/1.1\r\n\r\n");
    watch.begins(false);
    watch.ends();
    tokio::time::advance(Duration::from_secs(30)).await;
    watch.saw(b"GET");
    assert_eq!(overdue(&watch).await, (Overdue::Head, 10));
}

/// A body without end, 10,000 bytes at a time.
struct Endless;

impl Body for Endless {
    type Data = &'static [u8];
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<&'static [u8]>>>> {
        Poll::Ready(Some(Ok(Frame::data(&[0; 10_000]))))
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_answer_is_asked_for_no_more_than_is_taken() {
    let (watch, woken) = (watch(), Arc::<Woken>::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut body = Ending::new(Endless, Rc::clone(&watch));
    let mut parts = || {
        let parts = std::iter::repeat_with(|| Pin::new(&mut body).poll_frame(&mut cx));
        let count = parts.take_while(Poll::is_ready).count();
        (count, woken.0.load(Ordering::SeqCst))
    };
    watch.tried(false);
    assert_eq!(parts(), (1, 0));
    watch.wrote(&[0; 1000]);
    assert_eq!(parts(), (0, 0), "too many are left");
    watch.wrote(&[0; 1000]);
    assert_eq!(parts(), (1, 1));
    watch.flushes();
    assert_eq!(parts(), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_byte_owes_nothing_else_first() {
    let watch = watch();
    watch.saw(b"GET");
    watch.tried(false);
    assert_eq!(overdue(&watch).await, (Overdue::Taking, 60));
}
