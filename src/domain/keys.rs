//! A key that is being changed: the present value, and for a while the one before it.
//!
//! What is made is made with the present one; what comes in may be of either. Which of the two is the newer one is the
//! operator's to know: a replica may be told of the value to come as the previous one, and exchange the two later.

/// Which of the two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    Present,
    Previous,
}

impl Generation {
    /// A short name for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Previous => "previous",
        }
    }
}

/// A key and the one before it.
#[derive(Debug, Clone)]
pub struct Rotating<T> {
    pub present: T,
    /// `None` where nothing is being changed.
    pub previous: Option<T>,
}

impl<T> Rotating<T> {
    /// A key that is not being changed.
    pub fn only(present: T) -> Self {
        Self { present, previous: None }
    }

    /// The value of a generation, if there is one.
    pub fn of(&self, generation: Generation) -> Option<&T> {
        match generation {
            Generation::Present => Some(&self.present),
            Generation::Previous => self.previous.as_ref(),
        }
    }

    /// Both values, the present one first.
    pub fn each(&self) -> impl Iterator<Item = (Generation, &T)> {
        let all = [Generation::Present, Generation::Previous];
        all.into_iter().filter_map(|generation| Some((generation, self.of(generation)?)))
    }

    /// The first generation, the present one before the other, of which this is so.
    pub fn find(&self, so: impl Fn(&T) -> bool) -> Option<Generation> {
        self.each().find(|(_, value)| so(value)).map(|(generation, _)| generation)
    }

    /// What is made of each value.
    pub fn map<U>(&self, make: impl Fn(&T) -> U) -> Rotating<U> {
        Rotating { present: make(&self.present), previous: self.previous.as_ref().map(make) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_value_goes_first_and_the_previous_one_counts_as_well() {
        let keys = Rotating { present: 2, previous: Some(1) };
        assert_eq!(keys.find(|key| *key > 0), Some(Generation::Present));
        assert_eq!(keys.find(|key| *key == 1), Some(Generation::Previous));
        assert_eq!(keys.find(|key| *key == 3), None);
        assert_eq!(Rotating::only(2).find(|key| *key == 1), None);
        assert_eq!(keys.map(|key| key * 10).each().map(|(_, key)| *key).collect::<Vec<_>>(), [20, 10]);
    }
}
