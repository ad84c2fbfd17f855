"""The task network: three ways of sharing a layer, all configurations in one forward pass, RMSProp.

Must not know EM: a network is told which configurations to evaluate and how to weight their losses.
"""
