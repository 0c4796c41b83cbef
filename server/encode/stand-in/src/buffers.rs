//! NVENC: input and output buffers, and memory of the device.
#![expect(unsafe_code, reason = "stands in for a C library")]

use crate::nvenc::{Input, Registered, on, takes};
use crate::picture::Bitstream;
use crate::state::pointer;
use nv::NVENCSTATUS as Status;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ffi::c_void;

pub(crate) unsafe extern "C" fn create_input(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_CREATE_INPUT_BUFFER,
) -> Status {
    on(encoder, "nvEncCreateInputBuffer", |state, handle| {
        // SAFETY: the caller's whole structure.
        let params = unsafe { &mut *params };
        state.version("NV_ENC_CREATE_INPUT_BUFFER", params.version, nv::NV_ENC_CREATE_INPUT_BUFFER_VER)?;
        let settings = state.started(handle, "nvEncCreateInputBuffer")?;
        if !takes(settings.codec).contains(&params.bufferFmt) || params.width == 0 || params.height == 0 {
            return Err(
                state.wrong("an input buffer of a wrong format or size", Status::NV_ENC_ERR_INVALID_PARAM)
            );
        }
        state.room()?;
        let samples = if params.bufferFmt == nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV420_10BIT {
            2
        } else {
            1
        };
        // Wider than the picture, so that whoever ignores the pitch is found out.
        let pitch = (params.width * samples + 32).next_multiple_of(64);
        let input = Input {
            size: (params.width, params.height),
            format: params.bufferFmt,
            pitch,
            samples: vec![0; pitch as usize * params.height as usize * 3 / 2],
            locked: false,
        };
        let created = state.handle();
        state.session(handle).inputs.insert(created, input);
        params.inputBuffer = pointer(created);
        Ok(())
    })
}

pub(crate) unsafe extern "C" fn destroy_input(encoder: *mut c_void, input: *mut c_void) -> Status {
    on(encoder, "nvEncDestroyInputBuffer", |state, handle| {
        let session = state.session(handle);
        let read = session.is_read(input as usize);
        match session.inputs.remove(&(input as usize)) {
            Some(input) if !input.locked && !read => Ok(()),
            Some(_) => {
                Err(state.wrong("an input buffer is destroyed in use", Status::NV_ENC_ERR_INVALID_CALL))
            }
            None => {
                Err(state
                    .wrong("an input buffer is destroyed that is none", Status::NV_ENC_ERR_INVALID_PARAM))
            }
        }
    })
}

pub(crate) unsafe extern "C" fn lock_input(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_LOCK_INPUT_BUFFER,
) -> Status {
    on(encoder, "nvEncLockInputBuffer", |state, handle| {
        // SAFETY: the caller's whole structure.
        let params = unsafe { &mut *params };
        state.version("NV_ENC_LOCK_INPUT_BUFFER", params.version, nv::NV_ENC_LOCK_INPUT_BUFFER_VER)?;
        let session = state.session(handle);
        let read = session.is_read(params.inputBuffer as usize);
        match session.inputs.get_mut(&(params.inputBuffer as usize)) {
            Some(input) if !input.locked && !read => {
                input.locked = true;
                params.bufferDataPtr = input.samples.as_mut_ptr().cast();
                params.pitch = input.pitch;
                Ok(())
            }
            _ => Err(state.wrong(
                "an input buffer is locked twice, or in use, or none",
                Status::NV_ENC_ERR_INVALID_CALL,
            )),
        }
    })
}

pub(crate) unsafe extern "C" fn unlock_input(encoder: *mut c_void, input: *mut c_void) -> Status {
    on(encoder, "nvEncUnlockInputBuffer", |state, handle| {
        match state.session(handle).inputs.get_mut(&(input as usize)) {
            Some(input) if input.locked => {
                input.locked = false;
                Ok(())
            }
            _ => Err(state
                .wrong("an input buffer is unlocked that is not locked", Status::NV_ENC_ERR_INVALID_CALL)),
        }
    })
}

pub(crate) unsafe extern "C" fn create_bitstream(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_CREATE_BITSTREAM_BUFFER,
) -> Status {
    on(encoder, "nvEncCreateBitstreamBuffer", |state, handle| {
        // SAFETY: the caller's whole structure.
        let params = unsafe { &mut *params };
        state.version(
            "NV_ENC_CREATE_BITSTREAM_BUFFER",
            params.version,
            nv::NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
        )?;
        state.started(handle, "nvEncCreateBitstreamBuffer")?;
        state.room()?;
        let created = state.handle();
        state.session(handle).bitstreams.insert(created, Bitstream::default());
        params.bitstreamBuffer = pointer(created);
        Ok(())
    })
}

pub(crate) unsafe extern "C" fn destroy_bitstream(encoder: *mut c_void, buffer: *mut c_void) -> Status {
    on(encoder, "nvEncDestroyBitstreamBuffer", |state, handle| {
        match state.session(handle).bitstreams.remove(&(buffer as usize)) {
            Some(bitstream) if bitstream.is_idle() => Ok(()),
            Some(_) => {
                Err(state.wrong("an output buffer is destroyed in use", Status::NV_ENC_ERR_INVALID_CALL))
            }
            None => {
                Err(state
                    .wrong("an output buffer is destroyed that is none", Status::NV_ENC_ERR_INVALID_PARAM))
            }
        }
    })
}

pub(crate) unsafe extern "C" fn register(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_REGISTER_RESOURCE,
) -> Status {
    on(encoder, "nvEncRegisterResource", |state, handle| {
        // SAFETY: the caller's whole structure.
        let params = unsafe { &mut *params };
        state.version("NV_ENC_REGISTER_RESOURCE", params.version, nv::NV_ENC_REGISTER_RESOURCE_VER)?;
        let settings = state.started(handle, "nvEncRegisterResource")?;
        let kind = nv::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        let address = params.resourceToRegister as u64;
        let bytes = u64::from(params.pitch) * u64::from(params.height) * 3 / 2;
        let inside = state.device_bytes(address, bytes).is_some();
        let fields = params.resourceType == kind
            && params.bufferUsage == nv::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE
            && takes(settings.codec).contains(&params.bufferFormat)
            && params.pitch.is_multiple_of(4)
            && params.subResourceIndex == 0
            && params.reserved1.iter().all(|&word| word == 0);
        if !inside || !fields || state.session(handle).is_registered(address) {
            return Err(state.wrong(
                "a resource with wrong fields, or registered twice",
                Status::NV_ENC_ERR_RESOURCE_REGISTER_FAILED,
            ));
        }
        let created = state.handle();
        let (size, pitch, format) = ((params.width, params.height), params.pitch, params.bufferFormat);
        state.session(handle).registered.insert(created, Registered { address, size, pitch, format });
        params.registeredResource = pointer(created);
        Ok(())
    })
}

pub(crate) unsafe extern "C" fn unregister(encoder: *mut c_void, resource: *mut c_void) -> Status {
    on(encoder, "nvEncUnregisterResource", |state, handle| {
        let session = state.session(handle);
        let mapped = session.mapped.values().any(|registered| *registered == resource as usize);
        match session.registered.remove(&(resource as usize)) {
            Some(_) if !mapped => Ok(()),
            Some(_) => {
                Err(state
                    .wrong("a resource is unregistered while it is mapped", Status::NV_ENC_ERR_INVALID_CALL))
            }
            None => Err(state.wrong(
                "a resource is unregistered that is none",
                Status::NV_ENC_ERR_RESOURCE_NOT_REGISTERED,
            )),
        }
    })
}

pub(crate) unsafe extern "C" fn map(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_MAP_INPUT_RESOURCE,
) -> Status {
    on(encoder, "nvEncMapInputResource", |state, handle| {
        // SAFETY: the caller's whole structure.
        let params = unsafe { &mut *params };
        state.version("NV_ENC_MAP_INPUT_RESOURCE", params.version, nv::NV_ENC_MAP_INPUT_RESOURCE_VER)?;
        let registered = params.registeredResource as usize;
        let session = state.session(handle);
        let Some(resource) = session.registered.get(&registered) else {
            return Err(state.wrong(
                "a resource is mapped that is not registered",
                Status::NV_ENC_ERR_RESOURCE_NOT_REGISTERED,
            ));
        };
        params.mappedBufferFmt = resource.format;
        if session.mapped.values().any(|mapped| *mapped == registered) {
            return Err(state.wrong("a resource is mapped twice", Status::NV_ENC_ERR_MAP_FAILED));
        }
        let created = state.handle();
        state.session(handle).mapped.insert(created, registered);
        params.mappedResource = pointer(created);
        Ok(())
    })
}

pub(crate) unsafe extern "C" fn unmap(encoder: *mut c_void, mapped: *mut c_void) -> Status {
    on(encoder, "nvEncUnmapInputResource", |state, handle| {
        let session = state.session(handle);
        let read = session.is_read(mapped as usize);
        match session.mapped.remove(&(mapped as usize)) {
            Some(_) if !read => Ok(()),
            Some(_) => {
                Err(state.wrong("a resource is unmapped while it is read", Status::NV_ENC_ERR_INVALID_CALL))
            }
            None => Err(state
                .wrong("a resource is unmapped that is not mapped", Status::NV_ENC_ERR_RESOURCE_NOT_MAPPED)),
        }
    })
}

pub(crate) unsafe extern "C" fn set_streams(
    encoder: *mut c_void,
    input: *mut c_void,
    output: *mut c_void,
) -> Status {
    on(encoder, "nvEncSetIOCudaStreams", |state, handle| {
        if !state.faults.streams {
            return Err(Status::NV_ENC_ERR_UNIMPLEMENTED);
        }
        // SAFETY: the caller's pointers to handles.
        let (input, output) = unsafe { (*input.cast::<usize>(), *output.cast::<usize>()) };
        if !state.streams.contains_key(&input) || !state.streams.contains_key(&output) {
            return Err(state.wrong("streams that are none", Status::NV_ENC_ERR_INVALID_PARAM));
        }
        state.session(handle).stream = Some(input);
        Ok(())
    })
}
