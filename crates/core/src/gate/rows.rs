//! The cases of a run and their results: in memory while they are few, and read one by one from
//! where they are kept when they are more than memory should hold.

use serde::de::DeserializeOwned;
use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Why a row cannot be read from where it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct RowError(pub String);

/// Where rows are kept that are not in memory.
pub trait KeptRows<T>: fmt::Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// The row at this place, from 0.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, at: usize) -> Result<T, RowError>;
}

/// Rows in order.
#[derive(Debug, Clone)]
pub enum Rows<T> {
    /// In memory.
    Held(Vec<T>),
    /// Elsewhere.
    Kept(Arc<dyn KeptRows<T>>),
}

impl<T: Clone + fmt::Debug + Send + Sync + 'static> Rows<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Rows::Held(rows) => rows.len(),
            Rows::Kept(kept) => kept.count(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at this place, from 0.
    ///
    /// # Errors
    /// It cannot be read, or there are fewer.
    pub fn read(&self, at: usize) -> Result<Cow<'_, T>, RowError> {
        match self {
            Rows::Held(rows) => {
                let row = rows.get(at).map(Cow::Borrowed);
                row.ok_or_else(|| RowError(format!("there is no row {at}")))
            }
            Rows::Kept(kept) => kept.read(at).map(Cow::Owned),
        }
    }

    /// Every row in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, T>, RowError>> {
        (0..self.len()).map(|at| self.read(at))
    }

    /// All of them in memory; for few.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn to_vec(&self) -> Result<Vec<T>, RowError> {
        self.iter().map(|row| row.map(Cow::into_owned)).collect()
    }

    /// All of them in memory, to be changed; for few.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn hold(&mut self) -> Result<&mut Vec<T>, RowError> {
        if let Rows::Kept(_) = self {
            *self = Rows::Held(self.to_vec()?);
        }
        match self {
            Rows::Held(rows) => Ok(rows),
            Rows::Kept(_) => Err(RowError("the rows are not in memory".to_owned())),
        }
    }

    /// The same rows changed one by one: at once where they are in memory, else as they are read.
    pub fn map(self, change: impl Fn(T) -> T + Send + Sync + 'static) -> Rows<T> {
        match self {
            Rows::Held(rows) => Rows::Held(rows.into_iter().map(change).collect()),
            Rows::Kept(of) => Rows::Kept(Arc::new(Changed { of, change })),
        }
    }

    /// Those at these places, in this order; none twice.
    pub fn pick(self, places: Vec<usize>) -> Rows<T> {
        match self {
            Rows::Held(rows) => {
                let mut rows: Vec<Option<T>> = rows.into_iter().map(Some).collect();
                places.into_iter().filter_map(|at| rows.get_mut(at)?.take()).collect()
            }
            Rows::Kept(of) => Rows::Kept(Arc::new(Picked { of, places })),
        }
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Rows::Held(Vec::new())
    }
}

impl<T> From<Vec<T>> for Rows<T> {
    fn from(rows: Vec<T>) -> Self {
        Rows::Held(rows)
    }
}

impl<T> FromIterator<T> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        Rows::Held(rows.into_iter().collect())
    }
}

impl<T: Clone + PartialEq + fmt::Debug + Send + Sync + 'static> PartialEq for Rows<T> {
    /// Rows that cannot be read are equal to none.
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (Result<_, RowError>, Result<_, RowError>)| {
            let (one, other): (Option<Cow<'_, T>>, Option<Cow<'_, T>>) = (one.ok(), other.ok());
            one.is_some() && one == other
        };
        self.len() == other.len() && self.iter().zip(other.iter()).all(same)
    }
}

impl<T: Clone + Serialize + fmt::Debug + Send + Sync + 'static> Serialize for Rows<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.len()))?;
        for row in self.iter() {
            rows.serialize_element(row.map_err(S::Error::custom)?.as_ref())?;
        }
        rows.end()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Rows::Held)
    }
}

/// Rows that are changed as they are read.
struct Changed<T, F> {
    of: Arc<dyn KeptRows<T>>,
    change: F,
}

impl<T, F> fmt::Debug for Changed<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}

impl<T, F: Fn(T) -> T + Send + Sync> KeptRows<T> for Changed<T, F> {
    fn count(&self) -> usize {
        self.of.count()
    }

    fn read(&self, at: usize) -> Result<T, RowError> {
        self.of.read(at).map(&self.change)
    }
}

/// Some of the rows.
#[derive(Debug)]
struct Picked<T> {
    of: Arc<dyn KeptRows<T>>,
    places: Vec<usize>,
}

impl<T: fmt::Debug> KeptRows<T> for Picked<T> {
    fn count(&self) -> usize {
        self.places.len()
    }

    fn read(&self, at: usize) -> Result<T, RowError> {
        let place = self.places.get(at);
        self.of.read(*place.ok_or_else(|| RowError(format!("there is no row {at}")))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Numbers(usize);

    impl KeptRows<usize> for Numbers {
        fn count(&self) -> usize {
            self.0
        }

        fn read(&self, at: usize) -> Result<usize, RowError> {
            match at {
                7 => Err(RowError("7 is torn".to_owned())),
                at if at >= self.0 => Err(RowError(format!("there is no row {at}"))),
                at => Ok(at * 10),
            }
        }
    }

    #[test]
    fn kept_rows_are_as_those_in_memory() {
        let held: Rows<usize> = (0..6).map(|at| at * 10).collect();
        let kept = Rows::Kept(Arc::new(Numbers(6)));
        for rows in [&held, &kept] {
            assert_eq!(serde_json::to_string(rows).unwrap(), "[0,10,20,30,40,50]");
            let changed = rows.clone().pick(vec![1, 3, 5]).map(|row| row + 1);
            assert_eq!(changed.to_vec().unwrap(), [11, 31, 51]);
            assert!(rows.read(6).is_err());
        }
        assert_eq!(held, kept);
    }

    #[test]
    fn a_row_that_cannot_be_read_says_so() {
        let rows = Rows::Kept(Arc::new(Numbers(8)));
        assert_eq!(rows.to_vec(), Err(RowError("7 is torn".to_owned())));
        assert!(serde_json::to_string(&rows).unwrap_err().to_string().contains("7 is torn"));
        assert_ne!(rows, rows.clone());
    }
}
