//! The follow-up request of the story from each dialect to each other (translation, appendix A.8).

use ninerouter_dialect::Dialect;
use ninerouter_dialect::translate::{NoSignatures, PrepareCx, RequestTranslator, Target};
use serde_json::Value;

use crate::{DIALECTS, file};

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn requests_of_each_dialect_reach_each_other_one() {
    let cx = PrepareCx { signatures: &NoSignatures, now: 1_700_000_000, estimated_input: 7 };
    for client in DIALECTS {
        let body = file(&format!("{}.request.json", client.as_str()));
        let mut translator = RequestTranslator::decode(client, &body).unwrap();
        translator.request_mut().model = "asked".into();
        for upstream in DIALECTS.into_iter().filter(|upstream| *upstream != client) {
            let target = Target::new(upstream, "m1");
            let prepared = translator.prepare(&target, &cx).unwrap();
            assert_eq!((prepared.plan.model.as_ref(), prepared.plan.estimated_input), ("asked", 7));
            let mut got = json(&prepared.encode().unwrap().body);
            let want = json(&file(&format!("{}.request.json", upstream.as_str())));
            if client == Dialect::Anth {
                // Only Anthropic's request names a cap, and each dialect has a place for it.
                let cap = match upstream {
                    Dialect::Chat => got.as_object_mut().unwrap().remove("max_tokens"),
                    Dialect::Resp => got.as_object_mut().unwrap().remove("max_output_tokens"),
                    Dialect::Gem => got.as_object_mut().unwrap().remove("generationConfig"),
                    Dialect::Anth => None,
                };
                assert!(cap.is_some_and(|cap| cap.to_string().contains("8192")), "{upstream:?}");
            }
            assert_eq!(got, want, "{client:?} to {upstream:?}");
        }
    }
}
