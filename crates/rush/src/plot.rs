//! Pictures of measurements, as SVG.

use std::collections::BTreeMap;

use plotters::{
    chart::{ChartBuilder, LabelAreaPosition},
    element::{PathElement, Rectangle, Text},
    prelude::{IntoDrawingArea, IntoFont},
    series::LineSeries,
    style::{Color, RGBColor, TextStyle},
};
use plotters_svg::SVGBackend;

const WIDTH: u32 = 900;
const FONT: &str = "sans-serif";
/// About as wide as a character of a bar's label is on average.
const LABEL_CHARACTER_WIDTH: u32 = 7;
const BLUE: RGBColor = RGBColor(0x2b, 0x6c, 0xb0);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GREY: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const WHITE: RGBColor = RGBColor(0xff, 0xff, 0xff);
/// Readers who see few colours can tell these apart.
const COLOURS: [RGBColor; 6] = [
    BLUE,
    RGBColor(0xdd, 0x6b, 0x20),
    RGBColor(0x2f, 0x85, 0x5a),
    RGBColor(0x9f, 0x3a, 0xb0),
    RGBColor(0x74, 0x42, 0x10),
    RGBColor(0xc5, 0x30, 0x30),
];

/// A bar with the range of what was measured.
#[derive(Clone, Debug)]
pub struct Bar {
    pub label: String,
    /// The median of the rounds.
    pub value: f64,
    /// The lowest and the highest round.
    pub range: (f64, f64),
}

/// Horizontal bars, the first one on top, each with a line from its lowest to its highest round.
pub fn bars(title: &str, unit: &str, bars: &[Bar]) -> anyhow::Result<String> {
    let mut picture = String::new();
    let count = i32::try_from(bars.len())?;
    let height = 110 + 30 * u32::try_from(bars.len())?;
    let longest = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or_default();
    let left = (u32::try_from(longest)? * LABEL_CHARACTER_WIDTH + 24).clamp(120, WIDTH / 2);
    let most = bars.iter().map(|bar| bar.range.1.max(bar.value)).fold(1.0, f64::max);
    {
        let area = SVGBackend::with_string(&mut picture, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 20).into_font().color(&INK))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, left)
            .set_label_area_size(LabelAreaPosition::Bottom, 40)
            .build_cartesian_2d(0.0..most * 1.18, 0.0..f64::from(count))?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc(unit)
            .x_labels(6)
            .x_label_formatter(&|value| grouped(*value))
            .light_line_style(WHITE)
            .bold_line_style(GREY)
            .label_style((FONT, 13).into_font().color(&INK))
            .draw()?;
        let text = TextStyle::from((FONT, 13).into_font()).color(&INK);
        for (index, bar) in (0..count).zip(bars) {
            let middle = f64::from(count - index) - 0.5;
            let shape = Rectangle::new([(0.0, middle - 0.32), (bar.value, middle + 0.32)], BLUE.filled());
            let range = PathElement::new([(bar.range.0, middle), (bar.range.1, middle)], INK.stroke_width(2));
            let label_at = (bar.range.1.max(bar.value) + most * 0.012, middle + 0.25);
            chart.draw_series([shape])?;
            chart.draw_series([range])?;
            chart.draw_series([Text::new(grouped(bar.value), label_at, text.clone())])?;
            let (_, y) = chart.backend_coord(&(0.0, middle));
            area.draw(&Text::new(bar.label.clone(), (14, y - 7), text.clone()))?;
        }
        area.present()?;
    }
    Ok(picture)
}

/// The points of lines from left to right, by the labels of the lines.
pub type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Lines over one axis, from zero.
pub fn lines(title: &str, (x_unit, y_unit): (&str, &str), lines: &Lines) -> anyhow::Result<String> {
    let mut picture = String::new();
    let points = || lines.values().flatten();
    let x = 0.0..points().map(|point| point.0).fold(1.0, f64::max);
    let y = 0.0..points().map(|point| point.1).fold(1.0, f64::max) * 1.05;
    {
        let area = SVGBackend::with_string(&mut picture, (WIDTH, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 20).into_font().color(&INK))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, 75)
            .set_label_area_size(LabelAreaPosition::Bottom, 40)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(x_unit)
            .y_desc(y_unit)
            .x_label_formatter(&|value| grouped(*value))
            .y_label_formatter(&|value| grouped(*value))
            .light_line_style(WHITE)
            .bold_line_style(GREY)
            .label_style((FONT, 13).into_font().color(&INK))
            .draw()?;
        for ((label, points), colour) in lines.iter().zip(COLOURS.iter().cycle().copied()) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .label_font((FONT, 13).into_font().color(&INK))
            .draw()?;
        area.present()?;
    }
    Ok(picture)
}

/// A count with thousands separated.
pub fn grouped_count(count: u64) -> String {
    let digits = count.to_string();
    let mut groups: Vec<_> = digits.as_bytes().rchunks(3).map(String::from_utf8_lossy).collect();
    groups.reverse();
    groups.join(",")
}

/// A number with thousands separated, and with decimals only below 10.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is shown is below 2^64")]
pub fn grouped(value: f64) -> String {
    if value != 0.0 && value.abs() < 10.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", grouped_count(value.abs().round_ties_even() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        let texts = [0.0, 0.25, 3.0, 42.4, 1_234.0, 1_234_567.8, -1_000.0].map(grouped);
        assert_eq!(texts, ["0", "0.25", "3", "42", "1,234", "1,234,568", "-1,000"]);
    }

    #[test]
    fn pictures_hold_their_labels() {
        let bar = |label: &str, value| Bar { label: label.to_owned(), value, range: (value * 0.9, value * 1.1) };
        let picture = bars("Holds", "per second", &[bar("grouped", 20_000.0), bar("one by one", 3_000.0)]).unwrap();
        for text in ["<svg", "Holds", "grouped", "one by one", "20,000"] {
            assert!(picture.contains(text), "{text}");
        }
        let sold = ("sold".to_owned(), vec![(0.0, 0.0), (1.0, 15_002.0)]);
        let picture = lines("A rush", ("seconds", "seats"), &Lines::from([sold])).unwrap();
        assert!(picture.contains("A rush") && picture.contains("sold"));
        assert!(lines("Nothing", ("x", "y"), &Lines::new()).is_ok());
    }
}
