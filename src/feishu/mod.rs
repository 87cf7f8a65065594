//! Floor 2: Feishu, spoken to in one place.
