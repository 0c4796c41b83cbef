//! A scene as the renderer takes it: all meshes in world space, grouped by material.

use bytemuck::{Pod, Zeroable};
use glam::Vec3;

/// One vertex, in world space (right-handed, y up, metres).
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Vertex {
    pub(crate) position: [f32; 3],
    pub(crate) normal: [f32; 3],
    /// Unit tangent; the fourth is the side of the bitangent, ±1.
    pub(crate) tangent: [f32; 4],
    pub(crate) uv: [f32; 2],
    /// Linear RGBA.
    pub(crate) colour: [u8; 4],
}

/// How a material's alpha counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blend {
    Opaque,
    /// Below the cutoff there is nothing.
    Mask,
    /// Mixes with what lies behind.
    Mix,
}

/// Textures of a material: indices into [`Model::images`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Maps {
    pub(crate) base: Option<usize>,
    pub(crate) metal_rough: Option<usize>,
    pub(crate) normal: Option<usize>,
    pub(crate) occlusion: Option<usize>,
    pub(crate) emissive: Option<usize>,
}

/// Metallic-roughness material of glTF 2.0, section 3.9.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Material {
    /// Linear RGBA.
    pub(crate) base: [f32; 4],
    /// Linear RGB, strength included.
    pub(crate) emissive: [f32; 3],
    pub(crate) metallic: f32,
    pub(crate) roughness: f32,
    pub(crate) normal_scale: f32,
    pub(crate) occlusion_strength: f32,
    pub(crate) cutoff: f32,
    pub(crate) blend: Blend,
    pub(crate) double_sided: bool,
    pub(crate) maps: Maps,
}

/// A decoded texture: RGBA, 8 bit, top row first.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Vec<u8>,
    /// Whether the values are sRGB-encoded colours or plain numbers.
    pub(crate) srgb: bool,
}

/// Everything with one material.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) material: Material,
    pub(crate) vertices: Vec<Vertex>,
    /// Triangles, counter-clockwise from outside.
    pub(crate) indices: Vec<u32>,
}

/// A whole scene.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) parts: Vec<Part>,
    pub(crate) images: Vec<Picture>,
    /// Corners of the box around it.
    pub(crate) low: Vec3,
    pub(crate) high: Vec3,
}

impl Model {
    /// Middle and radius of a ball around it; the radius is never 0.
    pub(crate) fn ball(&self) -> (Vec3, f32) {
        ((self.low + self.high) / 2.0, ((self.high - self.low).length() / 2.0).max(1e-3))
    }
}
