"""The cost model: what did each fill cost, and what would the next one?"""
