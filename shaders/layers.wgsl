// Draws one layer of a frame: a rectangle of a picture into a rectangle of the frame.
//
// group 0
//   binding 0  texture_2d<f32>  the picture, sRGB-encoded values in a Unorm format, premultiplied alpha
//   binding 1  sampler          linear, clamped to the edge
//
// one instance of `Quad` per layer; 4 vertices, a triangle strip
//
// target 0  Rgba8Unorm, cleared to opaque black; blended with source over where the layer is not opaque

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var bilinear: sampler;

struct Quad {
    // Left, top, right, bottom in clip space.
    @location(0) edges: vec4<f32>,
    // Upper left corner in pixels of the frame; the same place in pixels of the picture.
    @location(1) corner: vec4<f32>,
    // Pixels of the picture from one pixel of the frame to the next.
    @location(2) step: vec2<f32>,
    // 1: pixel by pixel, nothing is interpolated. 1: alpha is ignored.
    @location(3) flags: vec2<u32>,
}

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(flat) corner: vec4<f32>,
    @location(1) @interpolate(flat) step: vec2<f32>,
    @location(2) @interpolate(flat) flags: vec2<u32>,
}

@vertex
fn place(@builtin(vertex_index) index: u32, quad: Quad) -> Corner {
    let x = select(quad.edges.x, quad.edges.z, (index & 1u) == 1u);
    let y = select(quad.edges.y, quad.edges.w, (index & 2u) == 2u);
    return Corner(vec4<f32>(x, y, 0.0, 1.0), quad.corner, quad.step, quad.flags);
}

@fragment
fn sample_layer(corner: Corner) -> @location(0) vec4<f32> {
    let size = textureDimensions(picture);
    let at = corner.corner.zw + (corner.position.xy - corner.corner.xy) * corner.step;
    var pixel: vec4<f32>;
    if (corner.flags.x == 1u) {
        pixel = textureLoad(picture, clamp(vec2<i32>(floor(at)), vec2<i32>(0), vec2<i32>(size) - 1), 0);
    } else {
        pixel = textureSampleLevel(picture, bilinear, at / vec2<f32>(size), 0.0);
    }
    return vec4<f32>(pixel.rgb, select(pixel.a, 1.0, corner.flags.y == 1u));
}
