"""One quiet identity: warm greys, system fonts, a single accent. static/style.css builds on the same variables."""

from gradio.themes import Base, Color

PAPER = Color(
    "#faf9f7",
    "#f4f2ee",
    "#e7e4de",
    "#d5d1c9",
    "#a8a39a",
    "#79746c",
    "#57534d",
    "#3b3833",
    "#262421",
    "#1a1917",
    "#121110",
)
TEAL = Color(
    "#eef7f7",
    "#d8ecec",
    "#b3d9da",
    "#84c0c3",
    "#4fa3a8",
    "#23858b",
    "#0d6b72",
    "#0b575d",
    "#0a464b",
    "#08383c",
    "#052427",
)
FONT = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

THEME = Base(primary_hue=TEAL, secondary_hue=TEAL, neutral_hue=PAPER, font=FONT, font_mono=MONO).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color="*neutral_900",
    body_text_color_dark="*neutral_100",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    background_fill_primary="white",
    background_fill_primary_dark="*neutral_900",
    background_fill_secondary="*neutral_100",
    background_fill_secondary_dark="*neutral_800",
    border_color_primary="*neutral_200",
    border_color_primary_dark="*neutral_700",
    border_color_accent="*primary_600",
    border_color_accent_dark="*primary_400",
    color_accent="*primary_600",
    color_accent_soft="*primary_50",
    color_accent_soft_dark="*primary_900",
    block_background_fill="white",
    block_background_fill_dark="*neutral_900",
    block_border_width="1px",
    block_radius="12px",
    block_shadow="none",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_text_color="white",
    layout_gap="20px",
)
