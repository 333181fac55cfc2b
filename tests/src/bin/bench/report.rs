//! Tables in Markdown.

use tidegate_tests::meter::load;

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Wall time.
    pub seconds: f64,
    /// CPU time of the process and its children.
    pub cpu_seconds: f64,
    /// The most memory at a time.
    pub peak_mib: u64,
}

/// One line of a table: the runs of one subject in one case.
#[derive(Debug)]
pub struct Row {
    /// What was done.
    pub case: String,
    /// By whom.
    pub subject: &'static str,
    /// One entry a run.
    pub runs: Vec<Figures>,
}

/// Rates and costs of moving `records` records.
pub fn throughput(rows: &[Row], records: usize) {
    println!("| case | who | records/s | CPU-s per million | peak MiB |");
    println!("| --- | --- | ---: | ---: | ---: |");
    let millions = records as f64 / 1e6;
    for row in rows {
        println!(
            "| {} | {} | {} | {} | {} |",
            row.case,
            row.subject,
            middle(&row.runs, 0, |run| records as f64 / run.seconds),
            middle(&row.runs, 2, |run| run.cpu_seconds / millions),
            middle(&row.runs, 0, |run| run.peak_mib as f64),
        );
    }
    footer();
}

/// How long starting took. Each case is a moment since the start of the process.
pub fn start_up(rows: &[Row]) {
    println!("| moment | who | seconds | CPU-s | peak MiB |");
    println!("| --- | --- | ---: | ---: | ---: |");
    for row in rows {
        println!(
            "| {} | {} | {} | {} | {} |",
            row.case,
            row.subject,
            middle(&row.runs, 2, |run| run.seconds),
            middle(&row.runs, 2, |run| run.cpu_seconds),
            middle(&row.runs, 0, |run| run.peak_mib as f64),
        );
    }
    footer();
}

fn footer() {
    println!(
        "\nMedian (lowest to highest). Load average at the end: {:.1}.\n",
        load()
    );
}

/// The median, and in brackets the extremes if they differ.
fn middle(runs: &[Figures], digits: usize, value: impl Fn(&Figures) -> f64) -> String {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (values.first(), values.last()) else {
        return "-".to_owned();
    };
    let half = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[half]
    } else {
        f64::midpoint(values[half - 1], values[half])
    };
    if low == high {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_and_odd_counts() {
        let runs = |seconds: &[f64]| {
            let run = |seconds: &f64| Figures {
                seconds: *seconds,
                cpu_seconds: 0.0,
                peak_mib: 0,
            };
            middle(&seconds.iter().map(run).collect::<Vec<_>>(), 1, |run| {
                run.seconds
            })
        };
        assert_eq!(runs(&[]), "-");
        assert_eq!(runs(&[2.0]), "2.0");
        assert_eq!(runs(&[3.0, 1.0]), "2.0 (1.0 to 3.0)");
        assert_eq!(runs(&[9.0, 1.0, 2.0]), "2.0 (1.0 to 9.0)");
    }
}
