// RGB to what hardware encoders read, written straight into memory that is shared with them: 8-bit 4:2:0
// (`nv12`), 10-bit 4:2:0 (`p010`) and 8-bit 4:4:4 (`yuv444`), limited range, with the matrix that the uniform holds (ITU-R BT.709-6, 3.2 to 3.5 and 4.6;
// ITU-R BT.2020-2, tables 4 and 5). A 4:2:0 chroma sample is the mean of its four pixels.
//
// group 0
//   binding 0  texture_2d<f32>                the picture, exactly width × height, values with their transfer
//                                             (those of HDR10 are tone-mapped where `tone_maps` says so)
//   binding 1  array<vec2<u32>>, read_write   the slot: rows of `pitch`, planes one after the other; samples
//                                             lowest byte first, 10 bits in the high bits of 16
//   binding 2  Frame                          sizes and matrix
//
// One invocation writes 8×2 pixels. A row's last one may write beyond the width, never beyond the pitch, with
// the picture's last column.

struct Frame {
    width: u32,
    height: u32,
    // Bytes of a row and of the luma plane, in units of 8.
    pitch: u32,
    plane: u32,
    // Kr, Kg, Kb.
    weights: vec4<f32>,
    // 2 (1 − Kb), 2 (1 − Kr).
    span: vec2<f32>,
    // Code of the picture's peak in HDR10, where it is tone-mapped; else 0.
    peak: f32,
    padding: f32,
}

// Whether the picture is in HDR10 and becomes one in standard range: known when the pipeline is made, so that the others
// carry nothing of it.
override tone_maps: bool = false;

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<storage, read_write> slot: array<vec2<u32>>;
@group(0) @binding(2) var<uniform> frame: Frame;

fn rgb(x: u32, y: u32) -> vec3<f32> {
    let last = vec2<u32>(frame.width, frame.height) - vec2<u32>(1u);
    let colour = textureLoad(picture, min(vec2<u32>(x, y), last), 0).rgb;
    if (tone_maps) {
        return tone_mapped(colour, frame.peak);
    }
    return colour;
}

fn level(colour: vec3<f32>) -> f32 {
    return dot(colour, frame.weights.xyz);
}

// Cb in x, Cr in y, −0.5 to 0.5.
fn difference(colour: vec3<f32>) -> vec2<f32> {
    return (colour.br - vec2<f32>(level(colour))) / frame.span;
}

fn luma8(colour: vec3<f32>) -> u32 {
    return u32(16.5 + 219.0 * level(colour));
}

fn chroma8(colour: vec3<f32>) -> vec2<u32> {
    return vec2<u32>(128.5 + 224.0 * difference(colour));
}

fn luma10(colour: vec3<f32>) -> u32 {
    return u32(64.5 + 876.0 * level(colour)) << 6u;
}

fn chroma10(colour: vec3<f32>) -> vec2<u32> {
    return vec2<u32>(512.5 + 896.0 * difference(colour)) << vec2<u32>(6u);
}

fn outside(x: u32, y: u32) -> bool {
    return x >= frame.width || y >= frame.height;
}

@compute @workgroup_size(16, 8)
fn nv12(@builtin(global_invocation_id) block: vec3<u32>) {
    let x = block.x * 8u;
    let y = block.y * 2u;
    if (outside(x, y)) {
        return;
    }
    var top = vec2<u32>(0u);
    var bottom = vec2<u32>(0u);
    var pairs = vec2<u32>(0u);
    for (var i = 0u; i < 4u; i++) {
        let a = rgb(x + 2u * i, y);
        let b = rgb(x + 2u * i + 1u, y);
        let c = rgb(x + 2u * i, y + 1u);
        let d = rgb(x + 2u * i + 1u, y + 1u);
        let word = i >> 1u;
        let shift = (i & 1u) * 16u;
        top[word] |= (luma8(a) | (luma8(b) << 8u)) << shift;
        bottom[word] |= (luma8(c) | (luma8(d) << 8u)) << shift;
        let mean = chroma8((a + b + c + d) * 0.25);
        pairs[word] |= (mean.x | (mean.y << 8u)) << shift;
    }
    let at = y * frame.pitch + block.x;
    slot[at] = top;
    slot[at + frame.pitch] = bottom;
    slot[frame.plane + block.y * frame.pitch + block.x] = pairs;
}

@compute @workgroup_size(16, 8)
fn p010(@builtin(global_invocation_id) block: vec3<u32>) {
    let x = block.x * 8u;
    let y = block.y * 2u;
    if (outside(x, y)) {
        return;
    }
    let at = y * frame.pitch + block.x * 2u;
    let below = frame.plane + block.y * frame.pitch + block.x * 2u;
    for (var half = 0u; half < 2u; half++) {
        var top = vec2<u32>(0u);
        var bottom = vec2<u32>(0u);
        var pairs = vec2<u32>(0u);
        for (var i = 0u; i < 2u; i++) {
            let column = x + half * 4u + i * 2u;
            let a = rgb(column, y);
            let b = rgb(column + 1u, y);
            let c = rgb(column, y + 1u);
            let d = rgb(column + 1u, y + 1u);
            top[i] = luma10(a) | (luma10(b) << 16u);
            bottom[i] = luma10(c) | (luma10(d) << 16u);
            let mean = chroma10((a + b + c + d) * 0.25);
            pairs[i] = mean.x | (mean.y << 16u);
        }
        slot[at + half] = top;
        slot[at + frame.pitch + half] = bottom;
        slot[below + half] = pairs;
    }
}

@compute @workgroup_size(16, 8)
fn yuv444(@builtin(global_invocation_id) block: vec3<u32>) {
    let x = block.x * 8u;
    if (outside(x, block.y * 2u)) {
        return;
    }
    for (var row = 0u; row < 2u; row++) {
        let y = block.y * 2u + row;
        var luma = vec2<u32>(0u);
        var cb = vec2<u32>(0u);
        var cr = vec2<u32>(0u);
        for (var i = 0u; i < 8u; i++) {
            let colour = rgb(x + i, y);
            let chroma = chroma8(colour);
            let shift = (i & 3u) * 8u;
            luma[i >> 2u] |= luma8(colour) << shift;
            cb[i >> 2u] |= chroma.x << shift;
            cr[i >> 2u] |= chroma.y << shift;
        }
        let at = y * frame.pitch + block.x;
        slot[at] = luma;
        slot[frame.plane + at] = cb;
        slot[2u * frame.plane + at] = cr;
    }
}
