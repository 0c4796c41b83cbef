// What every pipeline of meteor knows about the frame; it stands before each of their shaders.
//
// group 0: binding 0 uniform Frame · binding 1 texture_2d<f32> lettering, distance field in r ·
// binding 2 sampler, linear.

struct Frame {
    // World to clip space, depth 0..1.
    projection: mat4x4<f32>,
    // Camera position.
    eye: vec4<f32>,
    // Camera right and up, scaled to the edge of the picture; w of up: width of the text layout in px at
    // a height of 720.
    right: vec4<f32>,
    up: vec4<f32>,
    forward: vec4<f32>,
}

@group(0) @binding(0) var<uniform> frame: Frame;

const HAZE = vec3<f32>(0.42, 0.10, 0.34);
const FLOOR_Y = -2.2;
