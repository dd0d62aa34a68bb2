//! What a feed may ask for (api §2 "Topics"), and what an event is about.

use std::fmt;

/// Kind of event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// Health, counts of alerts and of requests in flight. Pages only.
    Shell,
    /// Open alerts.
    Alerts,
    /// Today's figures.
    Stats,
    /// Requests that run.
    Inflight,
    /// One account.
    Acct,
    /// One provider.
    Prov,
    /// One combo.
    Combo,
    /// Rows of the request log.
    Req,
    /// Lines of the console.
    Log,
    /// One long job.
    Job,
    /// One sign-in under way.
    Connect,
    /// What is known of an account's quota.
    Quota,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Shell,
        Self::Alerts,
        Self::Stats,
        Self::Inflight,
        Self::Acct,
        Self::Prov,
        Self::Combo,
        Self::Req,
        Self::Log,
        Self::Job,
        Self::Connect,
        Self::Quota,
    ];

    /// Its word in a feed's address, and the first part of its events' names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Alerts => "alerts",
            Self::Stats => "stats",
            Self::Inflight => "inflight",
            Self::Acct => "acct",
            Self::Prov => "prov",
            Self::Combo => "combo",
            Self::Req => "req",
            Self::Log => "log",
            Self::Job => "job",
            Self::Connect => "connect",
            Self::Quota => "quota",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }

    /// Whether a feed may ask for one object of it: `acct:<id>`.
    fn is_narrowable(self) -> bool {
        matches!(self, Self::Acct | Self::Prov | Self::Combo | Self::Job | Self::Connect)
    }
}

/// What a feed asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topics(Vec<(Topic, Option<String>)>);

/// A feed asks for something that does not exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownTopic(pub String);

impl fmt::Display for UnknownTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Topic::ALL.iter().map(|topic| topic.as_str()).collect();
        write!(
            f,
            "there is no topic `{}`; known: {}, of which acct, prov, combo, job and connect may name one object (`acct:<id>`)",
            self.0.chars().take(80).collect::<String>(),
            known.join(", ")
        )
    }
}

impl Topics {
    /// Reads `req,acct:<id>,quota`. Nothing at all asks for everything.
    ///
    /// # Errors
    /// Names the word that is no topic.
    pub fn parse(text: &str) -> Result<Self, UnknownTopic> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let one = |word: &str| {
            let (name, object) = match word.split_once(':') {
                Some((name, object)) => (name, Some(object.to_owned())),
                None => (word, None),
            };
            let topic = Topic::of_word(name).filter(|topic| {
                object.as_ref().is_none_or(|id| topic.is_narrowable() && !id.is_empty())
            });
            topic.map(|topic| (topic, object)).ok_or_else(|| UnknownTopic(word.to_owned()))
        };
        let asked = words.map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(if asked.is_empty() { Self::all() } else { Self(asked) })
    }

    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Topic::ALL.into_iter().map(|topic| (topic, None)).collect())
    }

    /// The same without a topic.
    #[must_use]
    pub fn without(mut self, topic: Topic) -> Self {
        self.0.retain(|(own, _)| *own != topic);
        self
    }

    /// Whether anything of a topic is asked for.
    #[must_use]
    pub fn has(&self, topic: Topic) -> bool {
        self.0.iter().any(|(own, _)| *own == topic)
    }

    /// Whether a topic's events about this object are asked for.
    #[must_use]
    pub fn covers(&self, topic: Topic, object: Option<&str>) -> bool {
        self.0
            .iter()
            .any(|(own, only)| *own == topic && (only.is_none() || only.as_deref() == object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_and_narrowed() {
        let topics = Topics::parse("req, acct:a,quota").unwrap();
        assert!(topics.covers(Topic::Req, None) && topics.covers(Topic::Req, Some("x")));
        assert!(topics.covers(Topic::Acct, Some("a")) && !topics.covers(Topic::Acct, Some("b")));
        assert!(topics.has(Topic::Acct) && !topics.has(Topic::Log));
        assert_eq!(Topics::parse("").unwrap(), Topics::all());
        for bad in ["reqs", "log:x", "acct:", "ACCT"] {
            assert_eq!(Topics::parse(bad), Err(UnknownTopic(bad.to_owned())));
        }
    }

    #[test]
    fn every_topic_reads_back() {
        for topic in Topic::ALL {
            assert_eq!(Topic::of_word(topic.as_str()), Some(topic));
        }
    }
}
