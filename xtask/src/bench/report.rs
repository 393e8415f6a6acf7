//! What a row's rounds come to, on the terminal.

use super::peer::Kind;
use super::progress::Progress;
use super::row::{Figure, Target};
use super::rows::Measured;

/// How Culvert's figure stands to its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    /// Culvert's figure as a share of the better one's of nginx and HAProxy.
    pub(super) ratio: Option<f64>,
    /// Whether the target is met; `None` if there is none, or nobody to compare with.
    pub(super) met: Option<bool>,
}

/// Judges one figure.
pub(super) fn judge(measured: &Measured, figure: &Figure, kind: Kind) -> Verdict {
    let median = |kind| measured.median(kind, figure.quantity);
    let ours = median(kind);
    let (nginx, haproxy) = (median(Kind::Nginx), median(Kind::Haproxy));
    let better = [nginx, haproxy].into_iter().flatten().reduce(f64::min);
    let against = |other: Option<f64>| Some(ours? / other?).filter(|ratio| ratio.is_finite());
    let (ratio, met) = match figure.target {
        Target::AtMost(limit) => (against(better), ours.map(|ours| ours <= limit)),
        Target::OfTheBetter(limit) => (against(better), against(better).map(|ratio| ratio <= limit)),
        Target::OfNginx(limit) => (against(nginx), against(nginx).map(|ratio| ratio <= limit)),
        Target::None => (against(better), None),
    };
    Verdict { ratio, met }
}

/// A target in words.
pub(super) fn show_target(figure: &Figure) -> String {
    match figure.target {
        Target::AtMost(limit) => format!("≤ {limit:.1} {}", figure.quantity.unit()),
        Target::OfTheBetter(limit) => format!("≤ {limit:.2} × the better"),
        Target::OfNginx(limit) => format!("≤ {limit:.2} × nginx"),
        Target::None => "–".to_owned(),
    }
}

/// Prints a row's medians. Says whether Culvert's are within their targets.
pub(super) fn print(progress: &Progress, measured: &Measured) -> bool {
    let mut within = true;
    for figure in measured.row.figures {
        progress.line(&format!("  {}", figure.what));
        for (kind, _) in &measured.samples {
            let value = measured.median(*kind, figure.quantity).unwrap_or(f64::NAN);
            let mut line = format!("    median  {:<12} {:>10}", kind.name(), figure.quantity.show(value));
            if kind.is_culvert() {
                let Verdict { ratio, met } = judge(measured, figure, *kind);
                line += &ratio.map(|ratio| format!("  ratio {ratio:.2}")).unwrap_or_default();
                let target = show_target(figure);
                line +=
                    &met.map(|met| format!("  {} ({target})", if met { "met" } else { "MISSED" })).unwrap_or_default();
                within &= met.unwrap_or(true) || *kind != Kind::Culvert;
            }
            progress.line(&line);
        }
    }
    within
}
