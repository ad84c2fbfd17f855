"""The task network: three ways of sharing a layer, all configurations in one forward pass, RMSProp."""
