//! Pixels that are on the device already, and the textures they lie in.

use crate::composite::texture;
use crate::device::Gpu;
use crate::picture::CpuPicture;

/// Textures kept although the frame before did not show them: a menu that opens and closes.
const SPARE: usize = 4;

/// One version of a picture.
#[derive(Debug)]
struct Upload {
    id: u64,
    texture: wgpu::Texture,
    bindings: wgpu::BindGroup,
    /// The last frame that showed it.
    shown: u64,
}

/// What earlier frames uploaded.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    uploads: Vec<Upload>,
    frame: u64,
}

impl Uploads {
    /// Starts a frame that shows these pictures, so that no texture of theirs is written over.
    pub(super) fn begin<'a>(&mut self, shown: impl Iterator<Item = (u64, CpuPicture<'a>)>) {
        self.frame += 1;
        for (id, picture) in shown {
            if let Some(at) = self.find(id, &picture) {
                self.uploads[at].shown = self.frame;
            }
        }
    }

    /// The bindings of a picture, uploaded unless it is there. `bind` makes them for a texture.
    pub(super) fn bindings(
        &mut self,
        gpu: &Gpu,
        id: u64,
        picture: &CpuPicture<'_>,
        bind: impl FnOnce(&wgpu::Texture) -> wgpu::BindGroup,
    ) -> &wgpu::BindGroup {
        let at = match self.find(id, picture) {
            Some(at) => at,
            None => {
                let at = self.room(gpu, id, picture, bind);
                write(gpu, &self.uploads[at].texture, picture);
                at
            }
        };
        &self.uploads[at].bindings
    }

    /// Ends the frame: what it did not show makes room, but for the newest few.
    pub(super) fn end(&mut self) {
        self.uploads.sort_by_key(|upload| std::cmp::Reverse(upload.shown));
        let shown = self.uploads.iter().take_while(|upload| upload.shown == self.frame).count();
        self.uploads.truncate(shown + SPARE);
    }

    fn find(&self, id: u64, picture: &CpuPicture<'_>) -> Option<usize> {
        self.uploads.iter().position(|upload| upload.id == id && has_size(&upload.texture, picture))
    }

    /// A texture of this size that the frame does not show, or a new one.
    fn room(
        &mut self,
        gpu: &Gpu,
        id: u64,
        picture: &CpuPicture<'_>,
        bind: impl FnOnce(&wgpu::Texture) -> wgpu::BindGroup,
    ) -> usize {
        let frame = self.frame;
        let free = |upload: &Upload| upload.shown != frame && has_size(&upload.texture, picture);
        if let Some(at) = self.uploads.iter().position(free) {
            (self.uploads[at].id, self.uploads[at].shown) = (id, frame);
            return at;
        }
        let (format, usage) = (wgpu::TextureFormat::Bgra8Unorm, wgpu::TextureUsages::COPY_DST);
        let texture = texture(gpu, "layer", (picture.width, picture.height), format, usage);
        let bindings = bind(&texture);
        self.uploads.push(Upload { id, texture, bindings, shown: frame });
        self.uploads.len() - 1
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.uploads.len()
    }
}

fn has_size(texture: &wgpu::Texture, picture: &CpuPicture<'_>) -> bool {
    (texture.width(), texture.height()) == (picture.width, picture.height)
}

fn write(gpu: &Gpu, texture: &wgpu::Texture, picture: &CpuPicture<'_>) {
    let layout =
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(picture.stride), rows_per_image: None };
    gpu.queue().write_texture(texture.as_image_copy(), picture.data, layout, texture.size());
}
