use serde_json::json;

use super::*;
use crate::actors::live::channel::Channel;
use crate::clock::Clock;

#[tokio::test]
async fn an_event_is_written_as_its_name_its_id_and_one_line() {
    let event = |topic, object: Option<&str>, data| {
        let channel = Arc::new(Channel::new(7));
        let wish = Wish {
            session: None,
            topics: Topics::all(),
            since: None,
            most: 1,
            ping_every: PING_EVERY,
        };
        let mut feed = channel.open(wish, Clock::manual(0)).unwrap();
        channel.tell(topic, object.map(str::to_owned), data);
        let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
        match Pin::new(&mut feed).poll_next(&mut cx) {
            Poll::Ready(Some(told)) => written(&told),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        event(Topic::Acct, Some("a"), json!({"label": "x\ny"})),
        "id: 7-1\nevent: acct-a\ndata: {\"label\":\"x\\ny\"}\n\n"
    );
    assert_eq!(event(Topic::Inflight, None, json!([])), "id: 7-1\nevent: inflight\ndata: []\n\n");
    assert_eq!(event(Topic::Shell, None, json!({"alerts": 1})), "", "of pages alone");
    // A batch: one event for each row, and who comes back in the middle hears it again.
    assert_eq!(
        event(Topic::Req, None, json!([{"id": "1"}, {"id": "2"}])),
        "event: req\ndata: {\"id\":\"1\"}\n\nid: 7-1\nevent: req\ndata: {\"id\":\"2\"}\n\n"
    );
    assert_eq!(written(&Told::Resync("7-9".parse().unwrap())), "id: 7-9\nevent: resync\ndata:\n\n");
}
