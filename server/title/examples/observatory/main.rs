//! Makes the scene that ships: an observatory on a small floating island, as one `.glb`.
//!
//! `cargo run -p nearframe-title --example observatory -- titles/scene/scene.glb`

mod glb;
mod island;
mod shapes;

use glb::{Look, write_glb};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args().nth(1) else {
        return Err("usage: observatory OUT.glb".into());
    };
    let looks = [
        Look { name: "ground", flat: true, rough: 0.95, ..Look::PLAIN },
        Look { name: "bricks", rough: 0.9, base_map: Some(0), normal_map: Some(1), ..Look::PLAIN },
        Look { name: "copper", base: [0.93, 0.50, 0.32, 1.0], metal: 1.0, rough: 0.32, ..Look::PLAIN },
        Look { name: "iron", base: [0.30, 0.32, 0.37, 1.0], metal: 1.0, rough: 0.42, ..Look::PLAIN },
        Look {
            name: "light",
            base: [1.0, 0.8, 0.5, 1.0],
            glow: [1.0, 0.62, 0.26],
            strength: 3.5,
            ..Look::PLAIN
        },
        Look {
            name: "water",
            base: [0.02, 0.07, 0.09, 1.0],
            rough: 0.08,
            normal_map: Some(2),
            ..Look::PLAIN
        },
        Look { name: "leaves", flat: true, rough: 0.95, ..Look::PLAIN },
        Look { name: "wood", flat: true, base: [0.33, 0.18, 0.09, 1.0], rough: 0.9, ..Look::PLAIN },
        Look { name: "glass", base: [0.55, 0.75, 0.85, 0.28], rough: 0.06, ..Look::PLAIN },
    ];
    let images = [island::bricks(), island::brick_relief(), island::ripples()];
    std::fs::write(path, write_glb(&looks, &island::build(), &images)?)?;
    Ok(())
}
