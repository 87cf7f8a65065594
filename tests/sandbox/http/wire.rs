//! How an answer gets lost between the platform and the bot.

use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::stream;

use super::super::faults::Wire;

/// Whether the bot sees no complete answer at all.
pub fn leaves_no_answer(wire: Wire) -> bool {
    matches!(wire, Wire::Drop | Wire::Timeout(_) | Wire::TruncatedBody)
}

/// A body that ends in an error: the server gives up the connection there and then.
fn broken(parts: Vec<Bytes>) -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::unfold(parts.into_iter(), |mut parts| async move {
        match parts.next() {
            Some(part) => Some((Ok(part), parts)),
            None => {
                // Where something was sent, it goes out before the connection does.
                tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                Some((Err(std::io::Error::other("the simulated wire broke")), parts))
            }
        }
    })
}

/// The same answer, over a wire that fails.
pub async fn misbehave(wire: Wire, mut response: HttpResponseBuilder, body: Vec<u8>) -> HttpResponse {
    let half = body.len() / 2;
    match wire {
        // An error before the first byte of the body: the head is still in the buffer and dies with the connection.
        Wire::Drop => response.streaming(stream::once(async { Err::<Bytes, _>(std::io::Error::other("dropped")) })),
        Wire::Timeout(patience) => {
            tokio::time::sleep(patience).await;
            response.streaming(stream::once(async { Err::<Bytes, _>(std::io::Error::other("dropped")) }))
        }
        Wire::Html502 => response.body(body),
        Wire::TruncatedJson => response.body(body[..half].to_vec()),
        Wire::TruncatedBody => response.streaming(broken(vec![Bytes::copy_from_slice(&body[..half])])),
        Wire::SlowBody(spread) => {
            let pause = spread / 10;
            let chunks: Vec<Bytes> = body.chunks(half.max(5) / 5).map(Bytes::copy_from_slice).collect();
            response.streaming(stream::unfold(chunks.into_iter(), move |mut chunks| async move {
                let chunk = chunks.next()?;
                tokio::time::sleep(pause).await;
                Some((Ok::<_, std::io::Error>(chunk), chunks))
            }))
        }
    }
}
