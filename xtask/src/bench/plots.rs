//! The plots of a full run, as SVG files that can be read on a white page and on a dark one.

use super::findings::Findings;
use super::peer::Kind;
use super::row::Row;
use super::rows::Measured;
use super::sample::{Quantity, Sample};
use super::sizes::show_bytes;
use super::statistics::median;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

const SIZE: (u32, u32) = (900, 540);
const FONT: &str = "DejaVu Sans, Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(0x22, 0x2b, 0x36);
const GRID: RGBColor = RGBColor(0xe3, 0xe7, 0xec);

/// Which shares of the answers the latency plot shows.
const SHARES: [f64; 12] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995];

/// A curve of one proxy's.
struct Curve {
    kind: Kind,
    points: Vec<(f64, f64)>,
}

/// One axis: its name and unit, where its ticks are, and how they are written.
struct Axis<'a> {
    name: &'a str,
    ticks: Vec<f64>,
    show: &'a dyn Fn(f64) -> String,
}

impl Axis<'_> {
    fn range(&self) -> std::ops::Range<f64> {
        self.ticks.first().copied().unwrap_or(1.0)..self.ticks.last().copied().unwrap_or(10.0)
    }
}

/// Draws what there are findings for, and says which files that made.
pub(super) fn draw(findings: &Findings, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut drawn = Vec::new();
    if !findings.growth.is_empty() {
        drawn.push(directory.join("bench-memory.svg"));
        memory(findings, &directory.join("bench-memory.svg"))?;
    }
    if !findings.sizes.is_empty() {
        drawn.push(directory.join("bench-cpu.svg"));
        cpu(findings, &directory.join("bench-cpu.svg"))?;
    }
    if let Some(row) = findings.rows.iter().find(|row| has_latencies(row.row)) {
        drawn.push(directory.join("bench-latency.svg"));
        latency(row, &directory.join("bench-latency.svg"))?;
    }
    Ok(drawn)
}

fn memory(findings: &Findings, path: &Path) -> Result<()> {
    let courses = findings.growth.iter().filter(|course| course.workers == 1);
    let curves: Vec<Curve> = courses
        .map(|course| Curve {
            kind: course.kind,
            points: course.points.iter().map(|point| (point.tunnels as f64, point.memory)).collect(),
        })
        .collect();
    let x = Axis {
        name: "idle WebSockets (log scale)",
        ticks: vec![1000.0, 2000.0, 4000.0, 8000.0],
        show: &|value| format!("{},000", (value / 1000.0).round()),
    };
    let show = |value: f64| format!("{value} MB");
    let y = Axis { name: "memory of the proxy (PSS, log scale)", ticks: decades(&curves), show: &show };
    chart(path, "Memory against number of sockets", &x, &y, &curves)
}

fn cpu(findings: &Findings, path: &Path) -> Result<()> {
    let curves: Vec<Curve> = findings
        .sizes
        .iter()
        .filter(|(kind, _)| is_drawn(*kind))
        .map(|(kind, points)| Curve {
            kind: *kind,
            points: points.iter().map(|(bytes, cost)| (*bytes as f64, *cost)).collect(),
        })
        .collect();
    let ticks = [4, 6, 8, 10, 12, 14, 16, 18, 20].map(|power| f64::from(1 << power)).to_vec();
    let x = Axis { name: "size of the message (log scale)", ticks, show: &|value| show_bytes(value.round() as usize) };
    let y = Axis { name: "CPU time per round trip (log scale)", ticks: decades(&curves), show: &show_time };
    chart(path, "CPU against message size", &x, &y, &curves)
}

fn latency(row: &Measured, path: &Path) -> Result<()> {
    let drawn = row.samples.iter().filter(|(kind, _)| is_drawn(*kind));
    let curves: Vec<Curve> = drawn.map(|(kind, samples)| latency_curve(*kind, samples)).collect();
    let show = |value: f64| match value.round() as u32 {
        1 => "0 %".to_owned(),
        10 => "p90".to_owned(),
        100 => "p99".to_owned(),
        1000 => "p99.9".to_owned(),
        2 => "p50".to_owned(),
        _ => String::new(),
    };
    let x = Axis {
        name: "share of the answers that came within the time",
        ticks: vec![1.0, 2.0, 10.0, 100.0, 1000.0, 2000.0],
        show: &show,
    };
    let y = Axis { name: "round trip time (log scale)", ticks: decades(&curves), show: &show_time };
    chart(path, "Latency, 1,000 sockets, 5,000 messages a second", &x, &y, &curves)
}

/// The median over the rounds for each share. The share p is drawn at 1 / (1 - p), so that on a logarithmic axis p90, p99
/// and p99.9 are equally far apart.
fn latency_curve(kind: Kind, samples: &[Sample]) -> Curve {
    let point =
        |share: f64| (1.0 / (1.0 - share), median(samples.iter().map(|sample| Quantity::Latency { share }.of(sample))));
    Curve { kind, points: SHARES.map(point).into_iter().filter(|point| point.1.is_finite()).collect() }
}

/// Raw tunnels are in the tables; their curves would lie on Culvert's own.
fn is_drawn(kind: Kind) -> bool {
    kind != Kind::CulvertRaw
}

fn has_latencies(row: &Row) -> bool {
    row.figures.iter().any(|figure| matches!(figure.quantity, Quantity::Latency { .. }))
}

fn show_time(microseconds: f64) -> String {
    match microseconds {
        value if value >= 1000.0 => format!("{} ms", value / 1000.0),
        value => format!("{value} µs"),
    }
}

/// Ticks at 1, 2 and 5 times the powers of ten that enclose all values.
fn decades(curves: &[Curve]) -> Vec<f64> {
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let steps: Vec<f64> =
        (-3..9).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power))).map(round).collect();
    let first = steps.iter().rposition(|step| *step <= low).unwrap_or(0);
    let last = steps.iter().position(|step| *step >= high).unwrap_or(steps.len() - 1);
    steps[first..=last].to_vec()
}

/// Frees a power of ten from what binary fractions add to it.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn chart(path: &Path, title: &str, x: &Axis<'_>, y: &Axis<'_>, curves: &[Curve]) -> Result<()> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    draw_chart(&area, title, x, y, curves).map_err(|error| anyhow!("could not draw {}: {error}", path.display()))?;
    area.present().map_err(|error| anyhow!("could not write {}: {error}", path.display()))
}

fn draw_chart(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    x: &Axis<'_>,
    y: &Axis<'_>,
    curves: &[Curve],
) -> Result<(), Box<dyn std::error::Error>> {
    // The background is drawn, or dark letters would stand on a dark page.
    area.fill(&WHITE)?;
    let horizontal = x.range().log_scale().with_key_points(x.ticks.clone());
    let vertical = y.range().log_scale().with_key_points(y.ticks.clone());
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 24).into_font().color(&INK))
        .margin(18)
        .margin_right(36)
        .x_label_area_size(58)
        .y_label_area_size(92)
        .build_cartesian_2d(horizontal, vertical)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 16).into_font().color(&INK))
        .x_desc(x.name)
        .y_desc(y.name)
        .x_label_formatter(&|value| (x.show)(*value))
        .y_label_formatter(&|value| (y.show)(*value))
        .draw()?;
    for curve in curves {
        let (colour, width) = look(curve.kind);
        let style = colour.stroke_width(width);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(curve.kind.title())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 26, y)], style));
        chart.draw_series(curve.points.iter().map(|point| Circle::new(*point, width + 1, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .legend_area_size(36)
        .margin(14)
        .background_style(WHITE)
        .border_style(GRID)
        .label_font((FONT, 16).into_font().color(&INK))
        .draw()?;
    Ok(())
}

/// Colours that people with any kind of eyes can tell apart (Okabe and Ito's), and the width of the line.
fn look(kind: Kind) -> (RGBColor, u32) {
    match kind {
        Kind::Culvert => (RGBColor(0x00, 0x72, 0xb2), 4),
        Kind::CulvertRaw => (RGBColor(0x56, 0xb4, 0xe9), 2),
        Kind::Nginx => (RGBColor(0x00, 0x9e, 0x73), 2),
        Kind::Haproxy => (RGBColor(0xd5, 0x5e, 0x00), 2),
        Kind::Caddy => (RGBColor(0x80, 0x60, 0x90), 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_enclose_all_values() {
        let curve = |points| [Curve { kind: Kind::Culvert, points }];
        assert_eq!(decades(&curve(vec![(1.0, 3.0), (2.0, 40.0)])), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(decades(&curve(vec![(1.0, 0.5), (2.0, 1.0)])), [0.5, 1.0]);
    }

    #[test]
    fn times_are_written_in_their_unit() {
        assert_eq!((show_time(5.0), show_time(2000.0)), ("5 µs".to_owned(), "2 ms".to_owned()));
    }
}
