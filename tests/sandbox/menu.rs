//! The bot's menu, as the guide for operators has the console given it.

/// The guide, with one table of the menu.
const GUIDE: &str = include_str!("../../deploy/console.md");

/// One item of the type that pushes an event.
#[derive(Debug, Clone, Copy)]
pub struct MenuItem {
    pub zh: &'static str,
    pub en: &'static str,
    pub event_key: &'static str,
}

/// The items in their order.
pub fn menu() -> Vec<MenuItem> {
    let table = GUIDE.split("\n## ").find(|part| part.starts_with("菜单")).expect("the guide has a part for the menu");
    let item = |line: &'static str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (zh, en, key) = (cells.next()?, cells.next()?, cells.next()?);
        Some(MenuItem { zh, en, event_key: key.strip_prefix('`')?.strip_suffix('`')? })
    };
    table.lines().filter(|line| line.starts_with('|')).filter_map(item).collect()
}
