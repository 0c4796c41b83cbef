// RGB to 8-bit 4:2:0, BT.709, limited range (ITU-R BT.709-6, 3.2 to 3.5 and 4.6). A chroma sample is the
// mean of its four pixels.
//
// group 0
//   binding 0  texture_2d<f32>          the picture, exactly width × height, sRGB-encoded values
//   binding 1  array<u32>, read_write   the surface, four samples a word, lowest byte first, rows without
//                                       padding: luma, then chroma as the layout says
//   binding 2  Frame                    sizes and layout of planes
//
// `convert_blocks` writes 8×2 pixels an invocation and needs a width that is a multiple of 8.
// `convert_bytes` writes one word an invocation and takes every even size.

struct Frame {
    width: u32,
    height: u32,
    // 0: NV12 (Cb Cr interleaved), 1: I420 (all Cb, then all Cr)
    planes: u32,
    padding: u32,
}

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<storage, read_write> surface: array<u32>;
@group(0) @binding(2) var<uniform> frame: Frame;

const WEIGHTS = vec3<f32>(0.2126, 0.7152, 0.0722);

fn rgb(x: u32, y: u32) -> vec3<f32> {
    return textureLoad(picture, vec2<u32>(x, y), 0).rgb;
}

fn luma(colour: vec3<f32>) -> u32 {
    return u32(16.5 + 219.0 * dot(colour, WEIGHTS));
}

// Cb in x, Cr in y. 1.8556 = 2 (1 − 0.0722), 1.5748 = 2 (1 − 0.2126).
fn chroma(mean: vec3<f32>) -> vec2<u32> {
    let difference = mean.br - vec2<f32>(dot(mean, WEIGHTS));
    return vec2<u32>(128.5 + 224.0 * difference / vec2<f32>(1.8556, 1.5748));
}

@compute @workgroup_size(16, 8)
fn convert_blocks(@builtin(global_invocation_id) block: vec3<u32>) {
    let x = block.x * 8u;
    let y = block.y * 2u;
    if (x >= frame.width || y >= frame.height) {
        return;
    }
    var top = vec2<u32>(0u);
    var bottom = vec2<u32>(0u);
    var cb = 0u;
    var cr = 0u;
    var pairs = vec2<u32>(0u);
    for (var i = 0u; i < 4u; i++) {
        let a = rgb(x + 2u * i, y);
        let b = rgb(x + 2u * i + 1u, y);
        let c = rgb(x + 2u * i, y + 1u);
        let d = rgb(x + 2u * i + 1u, y + 1u);
        let word = i >> 1u;
        let shift = (i & 1u) * 16u;
        top[word] |= (luma(a) | (luma(b) << 8u)) << shift;
        bottom[word] |= (luma(c) | (luma(d) << 8u)) << shift;
        let mean = chroma((a + b + c + d) * 0.25);
        cb |= mean.x << (8u * i);
        cr |= mean.y << (8u * i);
        pairs[word] |= (mean.x | (mean.y << 8u)) << shift;
    }
    let row = frame.width / 4u;
    let at = y * row + x / 4u;
    surface[at] = top.x;
    surface[at + 1u] = top.y;
    surface[at + row] = bottom.x;
    surface[at + row + 1u] = bottom.y;
    let after_luma = row * frame.height;
    if (frame.planes == 0u) {
        let pair = after_luma + block.y * row + x / 4u;
        surface[pair] = pairs.x;
        surface[pair + 1u] = pairs.y;
    } else {
        let plane = after_luma / 4u;
        let sample = after_luma + block.y * (row / 2u) + block.x;
        surface[sample] = cb;
        surface[sample + plane] = cr;
    }
}

fn mean_at(column: u32, row: u32) -> vec2<u32> {
    let x = column * 2u;
    let y = row * 2u;
    return chroma((rgb(x, y) + rgb(x + 1u, y) + rgb(x, y + 1u) + rgb(x + 1u, y + 1u)) * 0.25);
}

// The sample at byte `at` of the surface; 0 past its end.
fn byte_at(at: u32) -> u32 {
    let pixels = frame.width * frame.height;
    if (at < pixels) {
        return luma(rgb(at % frame.width, at / frame.width));
    }
    let past = at - pixels;
    if (past >= pixels / 2u) {
        return 0u;
    }
    if (frame.planes == 0u) {
        let column = past % frame.width;
        return mean_at(column / 2u, past / frame.width)[column & 1u];
    }
    let plane = pixels / 4u;
    let within = past % plane;
    let half = frame.width / 2u;
    return mean_at(within % half, within / half)[past / plane];
}

@compute @workgroup_size(256)
fn convert_bytes(@builtin(global_invocation_id) word: vec3<u32>) {
    let at = word.x * 4u;
    if (at >= frame.width * frame.height * 3u / 2u) {
        return;
    }
    surface[word.x] = byte_at(at) | (byte_at(at + 1u) << 8u) | (byte_at(at + 2u) << 16u)
        | (byte_at(at + 3u) << 24u);
}
