// Draws a picture into the viewport that the letterbox leaves it, scaled bilinearly.
//
// group 0
//   binding 0  texture_2d<f32>  the picture, sRGB-encoded values in a Unorm format
//   binding 1  sampler          linear, clamped to the edge
//
// target 0  Rgba8Unorm, cleared to opaque black: the bars

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var bilinear: sampler;

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
}

// One triangle that covers the viewport.
@vertex
fn cover(@builtin(vertex_index) index: u32) -> Corner {
    let uv = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    return Corner(vec4<f32>(uv * vec2<f32>(2.0, -2.0) + vec2<f32>(-1.0, 1.0), 0.0, 1.0), uv);
}

@fragment
fn sample_picture(corner: Corner) -> @location(0) vec4<f32> {
    return vec4<f32>(textureSampleLevel(picture, bilinear, corner.uv, 0.0).rgb, 1.0);
}
