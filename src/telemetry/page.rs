//! Metrics in Prometheus's own text format, which every scraper and `promtool` reads.
//!
//! The library writes OpenMetrics. The two differ for us in where a counter's `_total` stands and in
//! three kinds of comment.

/// Rewrites a page of OpenMetrics.
pub(super) fn from_open_metrics(page: &str) -> String {
    let mut counters = Vec::new();
    let mut text = String::with_capacity(page.len());
    for line in page.lines() {
        if let Some(name) = line
            .strip_prefix("# TYPE ")
            .and_then(|declared| declared.strip_suffix(" counter"))
        {
            counters.push(name);
        }
    }
    for line in page.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let comment = line
            .strip_prefix("# TYPE ")
            .or_else(|| line.strip_prefix("# HELP "));
        match comment.and_then(|comment| comment.split_once(' ')) {
            Some((name, rest)) if counters.contains(&name) => {
                let keyword = &line[..7];
                text.push_str(&format!("{keyword}{name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_declared_under_the_name_of_their_samples() {
        let page = "\
# HELP calls Calls that arrived.
# TYPE calls counter
calls_total{a=\"b\"} 3
# HELP wait_seconds Time.
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_count 1
# EOF
";
        let expected = "\
# HELP calls_total Calls that arrived.
# TYPE calls_total counter
calls_total{a=\"b\"} 3
# HELP wait_seconds Time.
# TYPE wait_seconds histogram
wait_seconds_count 1
";
        assert_eq!(from_open_metrics(page), expected);
    }
}
