//! Writing glTF 2.0 as one binary file.

use crate::shapes::Mesh;
use image::RgbImage;
use std::fmt::Write;

/// A material.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    /// Linear RGBA; below 1 alpha it mixes with what lies behind.
    pub(crate) base: [f32; 4],
    pub(crate) metal: f32,
    pub(crate) rough: f32,
    pub(crate) glow: [f32; 3],
    pub(crate) strength: f32,
    pub(crate) base_map: Option<usize>,
    pub(crate) normal_map: Option<usize>,
    /// Faces are flat, which is what a reader makes of a mesh without normals.
    pub(crate) flat: bool,
}

impl Look {
    /// White and matt.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        base: [1.0; 4],
        metal: 0.0,
        rough: 1.0,
        glow: [0.0; 3],
        strength: 1.0,
        base_map: None,
        normal_map: None,
        flat: false,
    };
}

/// One mesh per look, in the same order, and the images that the looks name.
pub(crate) fn write_glb(
    looks: &[Look],
    meshes: &[Mesh],
    images: &[RgbImage],
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut data = Vec::new();
    let (mut views, mut accessors, mut primitives) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (look, mesh)) in looks.iter().zip(meshes).enumerate() {
        let start = data.len();
        let textured = look.base_map.or(look.normal_map).is_some();
        for corner in &mesh.corners {
            let normal = if look.flat { &[][..] } else { &corner.normal[..] };
            let uv = if textured { &corner.uv[..] } else { &[][..] };
            let floats = corner.position.iter().chain(normal).chain(uv);
            data.extend(floats.flat_map(|v| v.to_le_bytes()));
            data.extend(corner.colour);
        }
        let count = mesh.corners.len();
        let stride = (data.len() - start) / count;
        let bound = |pick: fn(f32, f32) -> f32, from: f32| {
            mesh.corners.iter().fold([from; 3], |b, c| std::array::from_fn(|i| pick(b[i], c.position[i])))
        };
        let (low, high) = (bound(f32::min, f32::MAX), bound(f32::max, f32::MIN));
        views.push(format!(
            r#"{{"buffer":0,"byteOffset":{start},"byteLength":{},"byteStride":{stride},"target":34962}}"#,
            count * stride
        ));
        let mut attributes = Vec::new();
        let mut attribute = |name: &str, offset: usize, kind: &str, rest: &str| {
            attributes.push(format!(r#""{name}":{}"#, accessors.len()));
            accessors.push(format!(
                r#"{{"bufferView":{index},"byteOffset":{offset},"count":{count},"type":"{kind}",{rest}}}"#
            ));
        };
        let float = r#""componentType":5126"#;
        attribute("POSITION", 0, "VEC3", &format!(r#"{float},"min":{low:?},"max":{high:?}"#));
        if !look.flat {
            attribute("NORMAL", 12, "VEC3", float);
        }
        if textured {
            attribute("TEXCOORD_0", stride - 12, "VEC2", float);
        }
        attribute("COLOR_0", stride - 4, "VEC4", r#""componentType":5121,"normalized":true"#);
        primitives.push(format!(r#"{{"attributes":{{{}}},"material":{index}}}"#, attributes.join(",")));
    }
    let mut pictures = Vec::new();
    for image in images {
        let mut png = std::io::Cursor::new(Vec::new());
        image.write_to(&mut png, image::ImageFormat::Png)?;
        pictures.push(format!(r#"{{"bufferView":{},"mimeType":"image/png"}}"#, views.len()));
        let png = png.into_inner();
        views.push(format!(r#"{{"buffer":0,"byteOffset":{},"byteLength":{}}}"#, data.len(), png.len()));
        data.extend(png);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let textures: Vec<_> = (0..images.len()).map(|i| format!(r#"{{"source":{i}}}"#)).collect();
    let materials: Vec<_> = looks.iter().map(material).collect();
    let json = format!(
        r#"{{"asset":{{"version":"2.0","generator":"nearframe observatory"}},"extensionsUsed":["KHR_materials_emissive_strength"],"scene":0,"scenes":[{{"nodes":[0]}}],"nodes":[{{"mesh":0,"name":"Observatory"}}],"meshes":[{{"primitives":[{}]}}],"materials":[{}],"textures":[{}],"images":[{}],"accessors":[{}],"bufferViews":[{}],"buffers":[{{"byteLength":{}}}]}}"#,
        primitives.join(","),
        materials.join(","),
        textures.join(","),
        pictures.join(","),
        accessors.join(","),
        views.join(","),
        data.len()
    );
    Ok(container(json.into_bytes(), &data))
}

fn material(look: &Look) -> String {
    let mut json =
        format!(r#"{{"name":"{}","pbrMetallicRoughness":{{"baseColorFactor":{:?}"#, look.name, look.base);
    // Writing into a String cannot fail.
    let _ = write!(json, r#","metallicFactor":{},"roughnessFactor":{}"#, look.metal, look.rough);
    if let Some(map) = look.base_map {
        let _ = write!(json, r#","baseColorTexture":{{"index":{map}}}"#);
    }
    json.push('}');
    if let Some(map) = look.normal_map {
        let _ = write!(json, r#","normalTexture":{{"index":{map}}}"#);
    }
    if look.glow != [0.0; 3] {
        let _ = write!(
            json,
            r#","emissiveFactor":{:?},"extensions":{{"KHR_materials_emissive_strength":{{"emissiveStrength":{}}}}}"#,
            look.glow, look.strength
        );
    }
    if look.base[3] < 1.0 {
        json.push_str(r#","alphaMode":"BLEND""#);
    }
    json.push('}');
    json
}

/// The container of glTF 2.0, section 4.4: header, JSON chunk, binary chunk.
fn container(mut json: Vec<u8>, data: &[u8]) -> Vec<u8> {
    json.resize(json.len().next_multiple_of(4), b' ');
    let total = 12 + 8 + json.len() + 8 + data.len();
    let mut out = Vec::with_capacity(total);
    out.extend(b"glTF");
    for word in [2, total, json.len()] {
        out.extend((word as u32).to_le_bytes());
    }
    out.extend(b"JSON");
    out.extend(json);
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(b"BIN\0");
    out.extend(data);
    out
}
