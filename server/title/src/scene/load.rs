//! Reading glTF 2.0 (`.glb`, or `.gltf` with files of the same folder).
//!
//! Static triangle meshes with metallic-roughness materials. Animations, skins, morph targets, cameras
//! and lights are passed over. What comes from a file is checked before it is touched: every range,
//! every type and every count.

use super::model::{Blend, Maps, Material, Model, Part, Picture, Vertex};
use glam::{Mat3, Mat4, Vec3, Vec4};
use gltf::accessor::{DataType, Dimensions};
use gltf::{Accessor, Document, Primitive, Semantic};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// Largest file of a scene, in bytes.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Together more than these would not be drawn in time by any card.
const MAX_VERTICES: usize = 4_000_000;
const MAX_INDICES: usize = 12_000_000;
/// Nodes visited, and how deep they may be nested.
const MAX_NODES: usize = 100_000;
const MAX_NODE_DEPTH: u32 = 64;
const MAX_IMAGES: usize = 256;
/// Widest or highest texture, in px: what every device takes.
const MAX_IMAGE_PX: u32 = 4096;
/// Memory of all decoded textures.
const MAX_IMAGE_BYTES: usize = 512 << 20;

/// Why a scene cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SceneError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("no valid glTF 2.0: {0}")]
    Format(#[from] gltf::Error),
    #[error(
        "{0:?} lies outside the title's folder; only files inside it, without '..' and '%', may be named"
    )]
    Outside(String),
    #[error("{what} {index} does not fit its buffer")]
    Range { what: &'static str, index: usize },
    #[error("accessor {0} has a type that its use does not allow")]
    Type(usize),
    #[error("texture {name}: {error}")]
    Image { name: String, error: String },
    #[error("too much: {0}")]
    Limit(String),
    #[error("{0}")]
    Unsupported(&'static str),
}

/// Reads the scene `file` below `dir`.
pub(crate) fn load(dir: &Path, file: &str) -> Result<Model, SceneError> {
    let bytes = read_inside(dir, file)?;
    let gltf::Gltf { document, blob } = gltf::Gltf::from_slice(&bytes)?;
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let buffers = read_buffers(&document, blob, &dir.join(folder))?;
    check_views(&document, &buffers)?;
    let mut loader = Loader { buffers: &buffers, parts: HashMap::new(), nodes: 0, vertices: 0, indices: 0 };
    let scene = document.default_scene().or_else(|| document.scenes().next());
    let scene = scene.ok_or(SceneError::Unsupported("the file holds no scene"))?;
    for node in scene.nodes() {
        loader.node(&node, Mat4::IDENTITY, 0)?;
    }
    let mut parts: Vec<_> = loader.parts.into_iter().collect();
    parts.sort_unstable_by_key(|(material, _)| *material);
    let parts: Vec<Part> = parts.iter().map(|(_, part)| weld(part)).collect();
    if parts.is_empty() {
        return Err(SceneError::Unsupported("the scene holds no triangles"));
    }
    let points = || parts.iter().flat_map(|part| &part.vertices).map(|vertex| Vec3::from(vertex.position));
    let low = points().fold(Vec3::MAX, Vec3::min);
    let high = points().fold(Vec3::MIN, Vec3::max);
    if !low.is_finite() || !high.is_finite() {
        return Err(SceneError::Unsupported("a vertex lies at infinity"));
    }
    let images = read_images(&document, &buffers, &dir.join(folder), &parts)?;
    Ok(Model { parts, images, low, high })
}

fn read_inside(dir: &Path, name: &str) -> Result<Vec<u8>, SceneError> {
    let relative = Path::new(name);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || name.contains(['%', '\\', ':']) {
        return Err(SceneError::Outside(name.to_owned()));
    }
    let path = dir.join(relative);
    let failed = |error| SceneError::Read { path: path.clone(), error };
    let length = std::fs::metadata(&path).map_err(failed)?.len();
    if length > MAX_FILE_BYTES {
        return Err(SceneError::Limit(format!("{name} has {length} bytes, allowed are {MAX_FILE_BYTES}")));
    }
    std::fs::read(&path).map_err(failed)
}

fn read_buffers(document: &Document, blob: Option<Vec<u8>>, dir: &Path) -> Result<Vec<Vec<u8>>, SceneError> {
    let mut blob = blob;
    let read = |buffer: gltf::Buffer<'_>| match buffer.source() {
        gltf::buffer::Source::Bin => {
            blob.take().ok_or(SceneError::Unsupported("the binary chunk is missing"))
        }
        gltf::buffer::Source::Uri(uri) => read_inside(dir, uri),
    };
    document.buffers().map(read).collect()
}

/// Checks that every view and every accessor lies within its buffer, so that reading cannot fail.
fn check_views(document: &Document, buffers: &[Vec<u8>]) -> Result<(), SceneError> {
    for view in document.views() {
        let end = view.offset().checked_add(view.length());
        if end.is_none_or(|end| end > buffers[view.buffer().index()].len()) {
            return Err(SceneError::Range { what: "buffer view", index: view.index() });
        }
    }
    for accessor in document.accessors() {
        let index = accessor.index();
        let Some(view) = accessor.view() else {
            return Err(SceneError::Unsupported("sparse and empty accessors are not supported"));
        };
        if accessor.sparse().is_some() {
            return Err(SceneError::Unsupported("sparse and empty accessors are not supported"));
        }
        let stride = view.stride().unwrap_or(accessor.size());
        let end = accessor
            .count()
            .checked_sub(1)
            .and_then(|gaps| gaps.checked_mul(stride))
            .and_then(|last| last.checked_add(accessor.offset()))
            .and_then(|last| last.checked_add(accessor.size()));
        if stride < accessor.size() || end.is_none_or(|end| end > view.length()) {
            return Err(SceneError::Range { what: "accessor", index });
        }
    }
    Ok(())
}

/// Walks the nodes and gathers triangles by material; key 0 is the default material.
struct Loader<'a> {
    buffers: &'a [Vec<u8>],
    parts: HashMap<usize, Part>,
    nodes: usize,
    vertices: usize,
    indices: usize,
}

impl Loader<'_> {
    fn node(&mut self, node: &gltf::Node<'_>, parent: Mat4, depth: u32) -> Result<(), SceneError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_NODE_DEPTH {
            let text = format!("{MAX_NODES} nodes, {MAX_NODE_DEPTH} levels deep, are allowed");
            return Err(SceneError::Limit(text));
        }
        let world = parent * Mat4::from_cols_array_2d(&node.transform().matrix());
        for primitive in node.mesh().iter().flat_map(gltf::Mesh::primitives) {
            self.primitive(&primitive, world)?;
        }
        node.children().try_for_each(|child| self.node(&child, world, depth + 1))
    }

    fn primitive(&mut self, primitive: &Primitive<'_>, world: Mat4) -> Result<(), SceneError> {
        if primitive.mode() != gltf::mesh::Mode::Triangles {
            return Err(SceneError::Unsupported(
                "only triangle lists are supported, no points, lines, strips or fans",
            ));
        }
        check_types(primitive)?;
        let reader = primitive.reader(|buffer| self.buffers.get(buffer.index()).map(Vec::as_slice));
        let positions = reader.read_positions().ok_or(SceneError::Unsupported("a mesh has no positions"))?;
        let positions: Vec<Vec3> = positions.map(Vec3::from).collect();
        let indices: Vec<u32> = match reader.read_indices() {
            Some(indices) => indices.into_u32().collect(),
            None => (0..positions.len() as u32).collect(),
        };
        self.vertices += positions.len();
        self.indices += indices.len();
        if self.vertices > MAX_VERTICES || self.indices > MAX_INDICES {
            let text = format!("{MAX_VERTICES} vertices and {MAX_INDICES} indices are allowed");
            return Err(SceneError::Limit(text));
        }
        if !indices.len().is_multiple_of(3) || indices.iter().any(|index| *index as usize >= positions.len())
        {
            return Err(SceneError::Unsupported("a mesh has indices that point nowhere"));
        }
        let count = positions.len();
        let normals = reader.read_normals().map(|normals| normals.map(Vec3::from).collect());
        let normals = fitting(normals, count).unwrap_or_else(|| smooth_normals(&positions, &indices));
        let uvs = fitting(reader.read_tex_coords(0).map(|uvs| uvs.into_f32().collect()), count);
        let uvs = uvs.unwrap_or_else(|| vec![[0.0; 2]; count]);
        let tangents = fitting(reader.read_tangents().map(Iterator::collect), count);
        let tangents = tangents.unwrap_or_else(|| uv_tangents(&positions, &uvs, &indices));
        let colours = fitting(reader.read_colors(0).map(|colours| colours.into_rgba_u8().collect()), count);
        let colours = colours.unwrap_or_else(|| vec![[255; 4]; count]);
        let turn = normal_matrix(world);
        let linear = Mat3::from_mat4(world);
        let key = primitive.material().index().map_or(0, |index| index + 1);
        let part = self.parts.entry(key).or_insert_with(|| Part {
            material: material(&primitive.material()),
            vertices: Vec::new(),
            indices: Vec::new(),
        });
        let base = part.vertices.len() as u32;
        part.vertices.extend((0..count).map(|i| {
            Vertex {
                position: world.transform_point3(positions[i]).to_array(),
                normal: (turn * normals[i]).normalize_or(Vec3::Y).to_array(),
                tangent: (linear * Vec4::from(tangents[i]).truncate())
                    .normalize_or(Vec3::X)
                    .extend(tangents[i][3])
                    .to_array(),
                uv: uvs[i],
                colour: colours[i],
            }
        }));
        // A mirroring transform turns triangles inside out.
        let mirrored = linear.determinant() < 0.0;
        let corner = |t: &[u32]| if mirrored { [t[0], t[2], t[1]] } else { [t[0], t[1], t[2]] };
        part.indices.extend(indices.chunks_exact(3).flat_map(corner).map(|index| base + index));
        Ok(())
    }
}

/// Makes one vertex of equal ones, so that each is computed once per frame.
fn weld(part: &Part) -> Part {
    let mut known: HashMap<&[u8], u32> = HashMap::with_capacity(part.vertices.len());
    let mut vertices = Vec::new();
    let renamed: Vec<u32> = part
        .vertices
        .iter()
        .map(|vertex| {
            *known.entry(bytemuck::bytes_of(vertex)).or_insert_with(|| {
                vertices.push(*vertex);
                vertices.len() as u32 - 1
            })
        })
        .collect();
    let indices = part.indices.iter().map(|index| renamed[*index as usize]).collect();
    Part { material: part.material, vertices, indices }
}

fn fitting<T>(values: Option<Vec<T>>, count: usize) -> Option<Vec<T>> {
    values.filter(|values| values.len() == count)
}

fn normal_matrix(world: Mat4) -> Mat3 {
    let linear = Mat3::from_mat4(world);
    if linear.determinant().abs() < 1e-12 { linear } else { linear.inverse().transpose() }
}

fn check_types(primitive: &Primitive<'_>) -> Result<(), SceneError> {
    use DataType::{F32, U8, U16, U32};
    use Dimensions::{Scalar, Vec2, Vec3, Vec4};
    let check = |accessor: Accessor<'_>, dimensions: &[Dimensions], types: &[DataType]| {
        let fits = dimensions.contains(&accessor.dimensions()) && types.contains(&accessor.data_type());
        if fits { Ok(()) } else { Err(SceneError::Type(accessor.index())) }
    };
    for (semantic, accessor) in primitive.attributes() {
        match semantic {
            Semantic::Positions | Semantic::Normals => check(accessor, &[Vec3], &[F32])?,
            Semantic::Tangents => check(accessor, &[Vec4], &[F32])?,
            Semantic::TexCoords(_) => check(accessor, &[Vec2], &[F32, U8, U16])?,
            Semantic::Colors(_) => check(accessor, &[Vec3, Vec4], &[F32, U8, U16])?,
            _ => {}
        }
    }
    primitive.indices().map_or(Ok(()), |indices| check(indices, &[Scalar], &[U8, U16, U32]))
}

fn smooth_normals(positions: &[Vec3], indices: &[u32]) -> Vec<Vec3> {
    let mut normals = vec![Vec3::ZERO; positions.len()];
    for triangle in indices.chunks_exact(3) {
        let [a, b, c] = [triangle[0], triangle[1], triangle[2]].map(|i| positions[i as usize]);
        let normal = (b - a).cross(c - a);
        triangle.iter().for_each(|i| normals[*i as usize] += normal);
    }
    normals.iter().map(|normal| normal.normalize_or(Vec3::Y)).collect()
}

/// Tangents along growing u, per vertex.
fn uv_tangents(positions: &[Vec3], uvs: &[[f32; 2]], indices: &[u32]) -> Vec<[f32; 4]> {
    let mut tangents = vec![Vec3::ZERO; positions.len()];
    for triangle in indices.chunks_exact(3) {
        let [a, b, c] = [triangle[0], triangle[1], triangle[2]].map(|i| i as usize);
        let (ab, ac) = (positions[b] - positions[a], positions[c] - positions[a]);
        let (u1, v1) = (uvs[b][0] - uvs[a][0], uvs[b][1] - uvs[a][1]);
        let (u2, v2) = (uvs[c][0] - uvs[a][0], uvs[c][1] - uvs[a][1]);
        let area = u1 * v2 - u2 * v1;
        if area.abs() > 1e-12 {
            let tangent = (ab * v2 - ac * v1) / area;
            triangle.iter().for_each(|i| tangents[*i as usize] += tangent);
        }
    }
    tangents.iter().map(|tangent| tangent.normalize_or(Vec3::X).extend(1.0).to_array()).collect()
}

fn material(material: &gltf::Material<'_>) -> Material {
    let pbr = material.pbr_metallic_roughness();
    let strength = material.emissive_strength().unwrap_or(1.0);
    let image = |texture: gltf::Texture<'_>| texture.source().index();
    Material {
        base: pbr.base_color_factor(),
        emissive: material.emissive_factor().map(|channel| channel * strength),
        metallic: pbr.metallic_factor(),
        roughness: pbr.roughness_factor(),
        normal_scale: material.normal_texture().map_or(1.0, |normal| normal.scale()),
        occlusion_strength: material.occlusion_texture().map_or(1.0, |occlusion| occlusion.strength()),
        cutoff: material.alpha_cutoff().unwrap_or(0.5),
        blend: match material.alpha_mode() {
            gltf::material::AlphaMode::Opaque => Blend::Opaque,
            gltf::material::AlphaMode::Mask => Blend::Mask,
            gltf::material::AlphaMode::Blend => Blend::Mix,
        },
        double_sided: material.double_sided(),
        maps: Maps {
            base: pbr.base_color_texture().map(|info| image(info.texture())),
            metal_rough: pbr.metallic_roughness_texture().map(|info| image(info.texture())),
            normal: material.normal_texture().map(|info| image(info.texture())),
            occlusion: material.occlusion_texture().map(|info| image(info.texture())),
            emissive: material.emissive_texture().map(|info| image(info.texture())),
        },
    }
}

fn read_images(
    document: &Document,
    buffers: &[Vec<u8>],
    dir: &Path,
    parts: &[Part],
) -> Result<Vec<Picture>, SceneError> {
    if document.images().len() > MAX_IMAGES {
        return Err(SceneError::Limit(format!("{MAX_IMAGES} textures are allowed")));
    }
    let is_colour = |index| {
        parts.iter().any(|part| [part.material.maps.base, part.material.maps.emissive].contains(&Some(index)))
    };
    let mut room = MAX_IMAGE_BYTES;
    let mut pictures = Vec::new();
    for image in document.images() {
        let decoded = match image.source() {
            gltf::image::Source::View { view, .. } => {
                let buffer = &buffers[view.buffer().index()];
                decode(&buffer[view.offset()..view.offset() + view.length()])
            }
            gltf::image::Source::Uri { uri, .. } => decode(&read_inside(dir, uri)?),
        };
        let name = image.name().map_or_else(|| image.index().to_string(), str::to_owned);
        let decoded = decoded.map_err(|error| SceneError::Image { name, error: error.to_string() })?;
        let pixels = decoded.into_rgba8();
        room = room
            .checked_sub(pixels.as_raw().len())
            .ok_or_else(|| SceneError::Limit(format!("textures of {MAX_IMAGE_BYTES} bytes are allowed")))?;
        let (width, height) = pixels.dimensions();
        pictures.push(Picture { width, height, pixels: pixels.into_raw(), srgb: is_colour(image.index()) });
    }
    Ok(pictures)
}

fn decode(bytes: &[u8]) -> Result<image::DynamicImage, image::ImageError> {
    let mut reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_IMAGE_PX), Some(MAX_IMAGE_PX));
    reader.limits(limits);
    reader.decode()
}

#[cfg(test)]
mod tests;
