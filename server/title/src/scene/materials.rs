//! Materials and textures on the GPU: one bind group per part of the model.

use super::model::{Blend, Material, Model, Picture};
use bytemuck::{Pod, Zeroable};
use wgpu::util::{BufferInitDescriptor, DeviceExt, TextureDataOrder};

/// See `title_scene.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Uniform {
    base: [f32; 4],
    emissive: [f32; 4],
    surface: [f32; 4],
    flags: [f32; 4],
}

/// The bind groups of all parts, in the model's order.
pub(crate) struct Materials {
    layout: wgpu::BindGroupLayout,
    groups: Vec<wgpu::BindGroup>,
}

impl Materials {
    pub(crate) fn new(device: &wgpu::Device, queue: &wgpu::Queue, model: &Model) -> Self {
        let layout = layout(device);
        let textures: Vec<_> = model.images.iter().map(|picture| texture(device, queue, picture)).collect();
        let blank = Picture { width: 1, height: 1, pixels: vec![255; 4], srgb: false };
        let blank = texture(device, queue, &blank);
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            address_mode_u: wgpu::AddressMode::Repeat,
            address_mode_v: wgpu::AddressMode::Repeat,
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            mipmap_filter: wgpu::MipmapFilterMode::Nearest,
            ..Default::default()
        });
        let group = |material: &Material| {
            let maps = &material.maps;
            let uniform = device.create_buffer_init(&BufferInitDescriptor {
                label: Some("scene material"),
                contents: bytemuck::bytes_of(&uniform(material)),
                usage: wgpu::BufferUsages::UNIFORM,
            });
            let mut entries =
                vec![wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() }];
            for (map, binding) in
                [maps.base, maps.metal_rough, maps.normal, maps.occlusion, maps.emissive].iter().zip(1..)
            {
                let view = map.map_or(&blank, |index| &textures[index]);
                entries.push(wgpu::BindGroupEntry {
                    binding,
                    resource: wgpu::BindingResource::TextureView(view),
                });
            }
            entries.push(wgpu::BindGroupEntry {
                binding: 6,
                resource: wgpu::BindingResource::Sampler(&sampler),
            });
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("scene material"),
                layout: &layout,
                entries: &entries,
            })
        };
        let groups = model.parts.iter().map(|part| group(&part.material)).collect();
        Self { groups, layout }
    }

    pub(crate) fn layout(&self) -> &wgpu::BindGroupLayout {
        &self.layout
    }

    /// The bind group of the model's part `index`.
    pub(crate) fn group(&self, index: usize) -> &wgpu::BindGroup {
        &self.groups[index]
    }
}

fn uniform(material: &Material) -> Uniform {
    let [r, g, b] = material.emissive;
    let cutoff = if material.blend == Blend::Mask { material.cutoff } else { 0.0 };
    Uniform {
        base: material.base,
        emissive: [r, g, b, cutoff],
        surface: [material.metallic, material.roughness, material.normal_scale, material.occlusion_strength],
        flags: [f32::from(u8::from(material.maps.normal.is_some())), 0.0, 0.0, 0.0],
    }
}

fn layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty,
        count: None,
    };
    let mut entries = vec![entry(
        0,
        wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
    )];
    let texture = wgpu::BindingType::Texture {
        sample_type: wgpu::TextureSampleType::Float { filterable: true },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    entries.extend((1..=5).map(|binding| entry(binding, texture)));
    entries.push(entry(6, wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering)));
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("scene material"),
        entries: &entries,
    })
}

fn texture(device: &wgpu::Device, queue: &wgpu::Queue, picture: &Picture) -> wgpu::TextureView {
    let levels = picture.width.max(picture.height).ilog2() + 1;
    let format =
        if picture.srgb { wgpu::TextureFormat::Rgba8UnormSrgb } else { wgpu::TextureFormat::Rgba8Unorm };
    let texture = device.create_texture_with_data(
        queue,
        &wgpu::TextureDescriptor {
            label: Some("scene texture"),
            size: wgpu::Extent3d { width: picture.width, height: picture.height, depth_or_array_layers: 1 },
            mip_level_count: levels,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        },
        TextureDataOrder::LayerMajor,
        &mip_chain(picture, levels),
    );
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

/// The picture and its halves, one after another, each the mean of four px of the one before.
fn mip_chain(picture: &Picture, levels: u32) -> Vec<u8> {
    let (mut w, mut h) = (picture.width as usize, picture.height as usize);
    let mut chain = picture.pixels.clone();
    let mut start = 0;
    for _ in 1..levels {
        let (half_w, half_h) = ((w / 2).max(1), (h / 2).max(1));
        for i in 0..half_w * half_h {
            let (x, y) = (i % half_w * 2, i / half_w * 2);
            let (x1, y1) = ((x + 1).min(w - 1), (y + 1).min(h - 1));
            for channel in 0..4 {
                let at = |x: usize, y: usize| u32::from(chain[start + (y * w + x) * 4 + channel]);
                let mean = (at(x, y) + at(x1, y) + at(x, y1) + at(x1, y1) + 2) / 4;
                chain.push(mean as u8);
            }
        }
        start += w * h * 4;
        (w, h) = (half_w, half_h);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mip_chain_ends_at_one_px_with_the_mean_colour() {
        let pixels = (0..5 * 3).flat_map(|i| [if i % 2 == 0 { 0 } else { 200 }, 7, 0, 255]).collect();
        let chain = mip_chain(&Picture { width: 5, height: 3, pixels, srgb: true }, 3);
        assert_eq!(chain.len(), (5 * 3 + 2 + 1) * 4);
        assert_eq!(chain[chain.len() - 3], 7);
        assert!((60..140).contains(&chain[chain.len() - 4]));
    }
}
